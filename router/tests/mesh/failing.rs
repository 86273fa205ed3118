//! Endpoints that answer, and answer with errors.

use nanogrid_testkit::expert::Behaviour;
use tonic::Status;

use crate::{
    expert::answer,
    load::steady,
    mesh::{Mesh, replicas, secs},
};

fn unavailable() -> Behaviour {
    Behaviour::fails(Status::unavailable("broken"))
}

#[test]
fn an_endpoint_that_fails_fast_for_a_minute_costs_next_to_nothing_and_comes_back() {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(5));
    let broken = mesh.now();
    mesh.experts[0].script.behave(unavailable());
    mesh.pass(secs(60));
    mesh.experts[0].script.behave(answer());
    mesh.pass(secs(15));
    let after = mesh.pass(secs(5));
    let (checked, _) = mesh.end();
    let minute = checked.sent(broken + secs(1)..broken + secs(60));
    minute.assert_lost_at_most(minute.len() / 1000);
    let all: usize = after.iter().sum();
    assert!(after[0] * 5 > all, "it has its share again: {after:?}");
}

#[track_caller]
fn check_storm(broken: &Behaviour) {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(10));
    for expert in &mesh.experts {
        expert.script.behave(broken.clone());
    }
    let since = mesh.now();
    let attempts: usize = mesh.pass(secs(20)).iter().sum();
    let until = mesh.now();
    let (checked, _) = mesh.end();
    let n_requests = checked.sent(since..until).len();
    assert!(attempts * 10 <= n_requests * 11, "{attempts} attempts for {n_requests} requests");
}

#[test]
fn when_all_experts_fail_there_is_no_storm() {
    check_storm(&unavailable());
}

#[test]
fn when_all_experts_hang_there_is_no_storm() {
    check_storm(&Behaviour::hangs());
}

#[test]
fn after_all_experts_failed_all_of_them_are_asked_again() {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(2));
    for expert in &mesh.experts {
        expert.script.behave(unavailable());
    }
    mesh.pass(secs(20));
    for expert in &mesh.experts {
        expert.script.behave(answer());
    }
    mesh.pass(secs(15));
    let healed = mesh.now();
    let after = mesh.pass(secs(5));
    let (checked, _) = mesh.end();
    checked.sent(healed..secs(600)).assert_lost_at_most(0);
    assert!(after.iter().all(|calls| *calls > 20), "{after:?}");
}

#[test]
fn the_only_endpoint_is_back_within_fifteen_seconds_of_healing() {
    let mut mesh = Mesh::start(&[replicas("intent", 1)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(2));
    mesh.experts[0].script.behave(unavailable());
    mesh.pass(secs(20));
    mesh.experts[0].script.behave(answer());
    let healed = mesh.now();
    mesh.pass(secs(18));
    let (checked, _) = mesh.end();
    checked.sent(healed + secs(15)..secs(600)).assert_lost_at_most(0);
}
