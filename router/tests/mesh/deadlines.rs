//! Time that runs out.

use nanogrid_testkit::expert::Behaviour;

use crate::{
    load::{End, Load, steady},
    mesh::{Mesh, ms, replicas, secs},
};

#[test]
fn clients_with_deadlines_of_a_millisecond_cannot_eject_a_healthy_endpoint() {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    // They come first: nothing is known yet of how long an answer takes.
    mesh.load(Load { every: ms(10), deadline: ms(1), experts: vec!["intent"] });
    mesh.pass(secs(5));
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(5));
    let late = mesh.pass(secs(10));
    let (checked, _) = mesh.end();
    let patient = checked.with_deadline(ms(500));
    patient.assert_lost_at_most(0);
    let hasty = checked.with_deadline(ms(1));
    assert_eq!(hasty.lost().len(), hasty.len(), "nobody answers within a millisecond here");
    // Half of the patient one's 500 calls each, give or take.
    assert!(late.iter().all(|calls| *calls > 100), "{late:?}");
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
    let cancelled = |end: &End| matches!(end, End::Failed(tonic::Code::Cancelled, _));
    assert!(checked.lost().iter().all(|record| !cancelled(&record.end)), "{:#?}", checked.lost()[0]);
}
