use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::advance;

use super::*;
use crate::{BreakerSettings, Verdict};

const RTT: Duration = Duration::from_millis(2);

struct Scripted {
    id: usize,
    load: Load,
    breaker: Breaker,
}

impl Endpoint for Scripted {
    fn load(&self) -> &Load {
        &self.load
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

fn pool(n_endpoints: usize) -> Vec<Scripted> {
    (0..n_endpoints)
        .map(|id| Scripted { id, load: Load::new(RTT), breaker: Breaker::new(id as u64) })
        .collect()
}

fn trip(endpoint: &Scripted) {
    for _ in 0..5 {
        endpoint.breaker.admit_anyway().record(&BreakerSettings::default(), Verdict::Failure);
    }
    assert!(!endpoint.breaker.is_closed());
}

/// How many of 10,000 picks each endpoint gets.
fn shares(pool: &[Scripted]) -> Vec<usize> {
    let (mut random, mut shares) = (StdRng::seed_from_u64(1), vec![0; pool.len()]);
    for _ in 0..10_000 {
        let picked = pick(pool, |endpoint| &endpoint.load, Instant::now(), &mut random).expect("not empty");
        shares[picked.id] += 1;
    }
    shares
}

fn admitted(pool: &[Scripted], tried: &[usize]) -> Option<usize> {
    let avoid = |endpoint: &Scripted| tried.contains(&endpoint.id);
    let (endpoint, permit) = admit(pool.iter(), avoid, Instant::now(), &mut StdRng::seed_from_u64(1))?;
    drop(permit);
    Some(endpoint.id)
}

#[tokio::test(start_paused = true)]
async fn takes_the_less_loaded_of_two() {
    let pool = pool(2);
    let _waiting = pool[0].load.start();
    assert_eq!(shares(&pool), [0, 10_000]);
}

#[tokio::test(start_paused = true)]
async fn spreads_evenly_when_nothing_is_known_yet() {
    for n_endpoints in [1, 2, 3, 8] {
        for share in shares(&pool(n_endpoints)) {
            let fair = 10_000 / n_endpoints;
            assert!(share.abs_diff(fair) < fair / 10 + 1, "{share} of {fair}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn never_takes_the_most_loaded() {
    let pool = pool(8);
    let _waiting = pool[5].load.start();
    assert_eq!(shares(&pool)[5], 0);
}

#[tokio::test(start_paused = true)]
async fn a_cold_endpoint_takes_its_warmth_of_a_fair_share() {
    for n_endpoints in [2, 3, 8] {
        let pool = pool(n_endpoints);
        pool[0].load.warm_from(Instant::now());
        for percent in [10, 55, 100] {
            let fair = 10_000 / n_endpoints;
            let (share, expected) = (shares(&pool)[0], fair * percent / 100);
            assert!(
                share.abs_diff(expected) < fair / 10,
                "{n_endpoints} at {percent} %: {share} of {expected}"
            );
            advance(Duration::from_secs(5)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_pool_has_nothing_to_pick() {
    assert_eq!(admitted(&[], &[]), None);
}

#[tokio::test(start_paused = true)]
async fn another_endpoint_comes_first_and_a_tried_one_is_better_than_none() {
    let pool = pool(2);
    assert_eq!(admitted(&pool, &[0]), Some(1));
    assert_eq!(admitted(&pool, &[1]), Some(0));
    assert!(admitted(&pool, &[0, 1]).is_some());
    trip(&pool[1]);
    assert_eq!(admitted(&pool, &[0]), Some(0), "the other one is ejected");
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_is_picked_again_for_one_probe() {
    let pool = pool(2);
    trip(&pool[0]);
    let mut random = StdRng::seed_from_u64(1);
    let mut next = || admit(pool.iter(), |_| false, Instant::now(), &mut random).expect("never none");
    let _busy = pool[1].load.start();
    assert_eq!(next().0.id, 1);
    advance(Duration::from_secs(1)).await;
    let (endpoint, permit) = next();
    assert!(endpoint.id == 0 && permit.is_probe());
    assert_eq!(next().0.id, 1, "while it is probed, the other one");
}

#[tokio::test(start_paused = true)]
async fn breakers_are_not_believed_when_more_than_half_are_open() {
    let pool = pool(3);
    trip(&pool[0]);
    assert_eq!(
        admitted(&pool, &[1, 2]).expect("never none") % 3,
        admitted(&pool, &[1, 2]).expect("never none")
    );
    assert_ne!(admitted(&pool, &[1, 2]), Some(0), "one of three is ejected");
    trip(&pool[1]);
    assert_eq!(admitted(&pool, &[1, 2]), Some(0), "two of three are not");
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_is_never_ejected() {
    let pool = pool(1);
    trip(&pool[0]);
    assert_eq!(admitted(&pool, &[]), Some(0));
}

#[test]
fn the_median_is_that_of_the_pool() {
    assert_eq!(median([]), None);
    assert_eq!(median([RTT]), Some(RTT));
    assert_eq!(median([9 * RTT, RTT, 2 * RTT]), Some(2 * RTT));
}

proptest! {
    #[test]
    fn at_most_half_are_ejected_and_never_the_last(n_pool in 1..100_usize, n_ejected in 0..100_usize) {
        if may_eject(n_pool, n_ejected) {
            prop_assert!(2 * n_ejected <= n_pool && n_ejected < n_pool);
        } else {
            prop_assert!(in_panic(n_pool, n_ejected));
        }
    }

    /// Whatever is open, probing, tried or busy: one is picked while there is one.
    #[test]
    fn somebody_is_picked_while_anybody_is_connected(
        endpoints in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..10), wait in 0..12_000_u64, seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("runtime");
        runtime.block_on(async {
            let pool = pool(endpoints.len());
            for (endpoint, (open, _, _)) in pool.iter().zip(&endpoints) {
                if *open { trip(endpoint); }
            }
            advance(Duration::from_millis(wait)).await;
            let probes = pool.iter().zip(&endpoints).filter(|(_, (_, probing, _))| *probing);
            let _probes = probes.map(|(endpoint, _)| endpoint.breaker.admit()).collect::<Vec<_>>();
            let n_out = pool.iter().filter(|endpoint| !endpoint.breaker.is_closed()).count();
            let avoid = |endpoint: &Scripted| endpoints[endpoint.id].2;
            let picked = admit(pool.iter(), avoid, Instant::now(), &mut StdRng::seed_from_u64(seed));
            let (endpoint, permit) = picked.expect("somebody");
            if may_eject(pool.len(), n_out) {
                prop_assert!(permit.is_probe() || endpoint.breaker.is_closed(), "an ejected one outside panic");
            }
            Ok(())
        })?;
    }
}
