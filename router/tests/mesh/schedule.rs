//! Whatever happens, in any order: at most one of three endpoints is broken at a time, in some way, for some time.

use nanogrid_testkit::expert::Behaviour;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tonic::Status;

use crate::{
    expert::{USUAL, answer},
    load::steady,
    mesh::{Mesh, ms, replicas, secs, seed},
};

/// Ways for an endpoint to be of no use.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Dark,
    Partitioned,
    Mute,
    Held,
    Draining,
    Slow,
    Failing,
    Hanging,
}

const FAULTS: [Fault; 9] = [
    Fault::Killed,
    Fault::Dark,
    Fault::Partitioned,
    Fault::Mute,
    Fault::Held,
    Fault::Draining,
    Fault::Slow,
    Fault::Failing,
    Fault::Hanging,
];

impl Fault {
    fn begin(self, mesh: &mut Mesh, i: usize) {
        match self {
            Self::Killed => mesh.kill(i),
            Self::Dark => mesh.crash(i),
            Self::Partitioned => mesh.partition(i),
            Self::Mute => mesh.mute(i),
            Self::Held => mesh.hold(i),
            Self::Draining => mesh.experts[i].drain(),
            Self::Slow => mesh.experts[i].script.behave(answer().after(50 * USUAL)),
            Self::Failing => {
                mesh.experts[i].script.behave(Behaviour::fails(Status::unavailable("broken")));
            }
            Self::Hanging => mesh.experts[i].script.behave(Behaviour::hangs()),
        }
    }

    fn end(self, mesh: &mut Mesh, i: usize) {
        match self {
            Self::Killed | Self::Dark | Self::Draining => mesh.restart(i),
            Self::Partitioned | Self::Mute => mesh.repair(i),
            Self::Held => mesh.release(i),
            Self::Slow | Self::Failing | Self::Hanging => mesh.experts[i].script.behave(answer()),
        }
    }
}

#[test]
fn no_order_of_faults_loses_a_request_while_two_of_three_endpoints_are_well() {
    let seed = seed();
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut mesh = Mesh::start_seeded(seed, &[replicas("intent", 3)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(3));
    for _ in 0..6 {
        let (fault, i) = (*FAULTS.choose(&mut rng).expect("there are some"), rng.random_range(0..3));
        let (time, rest) = (ms(rng.random_range(1_000..8_000)), ms(rng.random_range(3_000..6_000)));
        println!("{:?}: endpoint {i} is {fault:?} for {time:?}, {rest:?} of rest", mesh.now());
        fault.begin(&mut mesh, i);
        mesh.pass(time);
        fault.end(&mut mesh, i);
        mesh.pass(rest);
    }
    // Whoever was broken last has time to be found well.
    mesh.pass(secs(15));
    let after = mesh.pass(secs(5));
    mesh.end().0.assert_lost_at_most(0);
    let all: usize = after.iter().sum();
    assert!(after.iter().all(|calls| calls * 10 > all), "each has its share again: {after:?}");
}
