//! Time that runs out.

use std::time::Duration;

use nanogrid_testkit::expert::Behaviour;
use tonic::Code;

use crate::{
    expert::{USUAL, answer},
    load::{End, Load, steady},
    mesh::{Mesh, ms, replicas, secs},
};

/// `swing`: how much longer every other answer takes.
#[track_caller]
fn check_hasty(deadline: Duration, swing: Duration) {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    mesh.load(steady(&["intent"]));
    // How long answers take is known before the others come: to be slower than ever would be a reason to eject.
    pass_swinging(&mut mesh, swing, secs(5));
    mesh.load(Load { every: ms(10), deadline, experts: vec!["intent"] });
    let calls = pass_swinging(&mut mesh, swing, secs(10));
    assert_eq!(mesh.counter("nanogrid_ejections"), 0.0);
    let (checked, _) = mesh.end();
    checked.with_deadline(ms(500)).assert_lost_at_most(0);
    assert!(!checked.with_deadline(deadline).lost().is_empty(), "the deadline is no trouble");
    // Half of the patient one's 400 calls each, give or take.
    assert!(calls.iter().all(|calls| *calls > 80), "{calls:?}");
}

fn pass_swinging(mesh: &mut Mesh, swing: Duration, time: Duration) -> Vec<usize> {
    let phase = ms(250);
    let mut calls = vec![0; mesh.experts.len()];
    for i in 0..time.as_millis() / phase.as_millis() {
        for expert in &mesh.experts {
            expert.script.behave(answer().after(USUAL + if i % 2 == 0 { swing } else { Duration::ZERO }));
        }
        calls.iter_mut().zip(mesh.pass(phase)).for_each(|(sum, calls)| *sum += calls);
    }
    calls
}

#[test]
fn clients_with_deadlines_of_a_millisecond_cannot_eject_a_healthy_endpoint() {
    check_hasty(ms(1), Duration::ZERO);
}

#[test]
fn clients_with_deadlines_that_are_too_short_for_some_answers_cannot_eject_a_healthy_endpoint() {
    // Long enough for every other answer, so that such calls are sent.
    check_hasty(5 * USUAL, 5 * USUAL);
}

#[test]
fn an_expert_that_never_answers_keeps_nobody_longer_than_the_deadline() {
    let mut mesh = Mesh::start(&[replicas("intent", 1)]);
    mesh.experts[0].script.behave(Behaviour::hangs());
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(10));
    let (checked, _) = mesh.end();
    assert_eq!(checked.lost().len(), checked.len());
    // The status is the truth: it is never said that the client went away.
    let cancelled = |end: &End| matches!(end, End::Failed(status) if status.code() == Code::Cancelled);
    assert!(checked.lost().iter().all(|record| !cancelled(&record.end)), "{:#?}", checked.lost()[0]);
}
