//! Who gets how much. Each of the first four guards against something that tonic's or tower's own balancing does.

use nanogrid_testkit::expert::Behaviour;
use tonic::Status;

use crate::{
    expert::{USUAL, answer},
    load::steady,
    mesh::{Mesh, replicas, secs},
};

#[test]
fn a_slow_endpoint_gets_fewer_calls() {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    mesh.experts[1].script.behave(answer().after(50 * USUAL));
    mesh.load(steady(&["intent"]));
    let calls = mesh.pass(secs(20));
    mesh.end().0.assert_lost_at_most(0);
    // At random it would be half of them, each taking fifty times as long.
    assert!(calls[1] * 10 < calls[0], "{calls:?}");
}

#[test]
fn a_dead_endpoint_is_never_picked() {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    mesh.load(steady(&["intent"]));
    mesh.kill(1);
    mesh.pass(secs(20));
    let (checked, _) = mesh.end();
    checked.assert_lost_at_most(0);
}

#[test]
fn an_endpoint_that_fails_fast_attracts_no_traffic() {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    mesh.experts[1].script.behave(Behaviour::fails(Status::internal("broken")));
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(1));
    let calls = mesh.pass(secs(20));
    mesh.end();
    assert!(calls[1] * 50 < calls[0], "{calls:?}");
}

#[test]
fn a_new_endpoint_gets_its_share_at_once() {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    mesh.add_expert("intent", 3);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(5));
    mesh.write(&[replicas("intent", 3)]);
    let first = mesh.pass(secs(4));
    assert!(first[2] > 0, "none within the first seconds: {first:?}");
    mesh.pass(secs(10));
    let warm = mesh.pass(secs(10));
    mesh.end().0.assert_lost_at_most(0);
    let all: usize = warm.iter().sum();
    assert!(warm[2] * 5 > all, "less than a fifth once it is warm: {warm:?}");
}
