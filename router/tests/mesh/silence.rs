//! Endpoints that are connected and say nothing: partitions, one-way partitions, a network that holds everything back.
//!
//! The worst case of all: TCP knows nothing, health says nothing, and only time tells.

use std::time::Duration;

use crate::{
    load::steady,
    mesh::{Mesh, replicas, secs},
};

/// After healing.
const BACK: Duration = secs(15);

#[track_caller]
fn check(silence: impl Fn(&Mesh), end: impl Fn(&Mesh)) {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(3));
    silence(&mesh);
    // Calls on their way, calls before it is doubted, probes, keepalive that gives it up, connections that fail.
    mesh.pass(secs(20));
    end(&mesh);
    mesh.pass(BACK);
    let after = mesh.pass(secs(5));
    mesh.end().0.assert_lost_at_most(0);
    let all: usize = after.iter().sum();
    assert!(after[0] * 10 > all, "it has its share again: {after:?}");
}

#[test]
fn a_partitioned_endpoint_costs_nothing_and_comes_back() {
    check(|mesh| mesh.partition(0), |mesh| mesh.repair(0));
}

#[test]
fn an_endpoint_that_hears_and_is_not_heard_costs_nothing_and_comes_back() {
    check(|mesh| mesh.mute(0), |mesh| mesh.repair(0));
}

#[test]
fn a_network_that_holds_everything_back_costs_nothing_and_comes_back() {
    check(|mesh| mesh.hold(0), |mesh| mesh.release(0));
}

#[test]
fn the_only_endpoint_is_back_within_two_seconds_of_speaking_again() {
    let mut mesh = Mesh::start(&[replicas("intent", 1)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(3));
    mesh.hold(0);
    // As long as a process that is stopped by hand; keepalive has not given it up yet.
    mesh.pass(secs(8));
    mesh.release(0);
    let speaks = mesh.now();
    mesh.pass(secs(6));
    let (checked, _) = mesh.end();
    assert!(!checked.lost().is_empty());
    checked.sent(speaks + secs(2)..secs(600)).assert_lost_at_most(0);
}
