//! Processes that die and machines that go dark.

use crate::{
    load::{End, steady},
    mesh::{Mesh, ms, replicas, secs},
};

#[test]
fn a_killed_endpoint_costs_nothing_and_comes_back() {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(5));
    mesh.kill(0);
    let down = mesh.pass(secs(10));
    mesh.restart(0);
    mesh.pass(secs(2));
    let up = mesh.pass(secs(10));
    mesh.end().0.assert_lost_at_most(0);
    assert_eq!(down[0], 0);
    assert!(up[0] > 0, "{up:?}");
}

#[test]
fn a_machine_that_goes_dark_costs_nothing_and_comes_back() {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(3));
    mesh.crash(0);
    mesh.pass(secs(20));
    mesh.restart(0);
    mesh.pass(secs(2));
    let up = mesh.pass(secs(10));
    mesh.end().0.assert_lost_at_most(0);
    assert!(up[0] > 0, "{up:?}");
}

#[test]
fn while_one_of_three_is_left_it_answers_everything() {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(3));
    mesh.kill(0);
    mesh.pass(secs(3));
    mesh.crash(1);
    mesh.pass(secs(20));
    mesh.restart(0);
    mesh.restart(1);
    mesh.pass(secs(2));
    let back = mesh.pass(secs(10));
    mesh.end().0.assert_lost_at_most(0);
    assert!(back.iter().all(|calls| *calls > 0), "{back:?}");
}

#[test]
fn when_all_are_gone_every_request_is_told_so_at_once() {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(3));
    (0..3).for_each(|i| mesh.kill(i));
    let gone = mesh.now();
    mesh.pass(secs(10));
    (0..3).for_each(|i| mesh.restart(i));
    let back = mesh.now();
    mesh.pass(secs(5));
    let (checked, _) = mesh.end();
    checked.sent(secs(0)..gone - ms(100)).assert_lost_at_most(0);
    let told = checked.sent(gone + ms(100)..back);
    assert_eq!(told.lost().len(), told.len());
    assert!(told.lost().iter().all(|record| record.took < ms(20)), "{:#?}", told.lost()[0]);
    checked.sent(back + secs(2)..secs(600)).assert_lost_at_most(0);
}

#[test]
fn without_a_replica_only_its_own_part_is_missing_and_is_back_within_two_seconds() {
    let mut mesh = Mesh::start(&[replicas("intent", 1), replicas("topic", 1)]);
    mesh.load(steady(&["intent", "topic"]));
    mesh.pass(secs(3));
    mesh.kill(0);
    mesh.pass(secs(10));
    mesh.restart(0);
    let back = mesh.now();
    mesh.pass(secs(5));
    let (checked, _) = mesh.end();
    assert!(!checked.lost().is_empty());
    for record in checked.lost() {
        let End::Partial(missing) = &record.end else { panic!("{record:#?}") };
        assert!(missing.len() == 1 && missing[0].starts_with("intent: "), "{missing:?}");
    }
    checked.sent(back + secs(2)..secs(600)).assert_lost_at_most(0);
}
