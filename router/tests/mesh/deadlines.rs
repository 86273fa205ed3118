//! Time that runs out.

use std::time::Duration;

use nanogrid_testkit::expert::Behaviour;
use tonic::Code;

use crate::{
    load::{End, Load, steady},
    mesh::{Mesh, USUAL, ms, replicas, secs},
};

#[track_caller]
fn check_hasty(deadline: Duration) {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    // They come first: nothing is known yet of how long an answer takes.
    mesh.load(Load { every: ms(10), deadline, experts: vec!["intent"] });
    mesh.pass(secs(5));
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(5));
    let late = mesh.pass(secs(10));
    let (checked, _) = mesh.end();
    checked.with_deadline(ms(500)).assert_lost_at_most(0);
    let hasty = checked.with_deadline(deadline);
    assert_eq!(hasty.lost().len(), hasty.len(), "nobody answers so fast here");
    // Half of the patient one's 400 calls each, give or take.
    assert!(late.iter().all(|calls| *calls > 80), "{late:?}");
}

#[test]
fn clients_with_deadlines_of_a_millisecond_cannot_eject_a_healthy_endpoint() {
    check_hasty(ms(1));
}

#[test]
fn clients_with_deadlines_that_are_just_too_short_cannot_eject_a_healthy_endpoint() {
    check_hasty(USUAL);
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
