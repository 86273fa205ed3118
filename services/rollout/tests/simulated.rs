//! What the shipped settings promise, on simulated traffic: how often a healthy canary is rolled back, and how soon a bad one is.
//!
//! `cargo test -p nanogrid-rollout --test simulated -- --nocapture` prints the figures.

use nanogrid_rollout::{ALL, Arms, Evidence, Phase, Plan, Rollout, Seen, Tally, Verdict};
use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Binomial, Distribution};

/// How often a rollout looks at its evidence, in seconds.
const TICK: u64 = 5;
const HOUR: u64 = 3_600;
/// Of several routers one is replaced so often, in seconds.
const LIFE: u64 = 900;

/// How often things go wrong with one version.
#[derive(Clone, Copy)]
struct Version {
    errors: f64,
    slow: f64,
    disagrees: f64,
}

const HEALTHY: Version = Version { errors: 0.01, slow: 0.033, disagrees: 0.0 };

#[derive(Clone, Copy)]
struct Traffic {
    per_second: u64,
    /// Each sees its share of them.
    routers: usize,
    canary: Version,
    /// Every so often both versions have ten times the errors for a minute.
    shocks: bool,
}

fn binomial(n: u64, p: f64, rng: &mut StdRng) -> u64 {
    Binomial::new(n, p).expect("a probability").sample(rng)
}

fn window(traffic: &Traffic, weight: u32, second: u64, rng: &mut StdRng) -> Seen {
    let n = traffic.per_second * TICK / traffic.routers as u64;
    let shock = if traffic.shocks && second % 600 < 60 { 10.0 } else { 1.0 };
    // In the shadow step one request in ten is copied: the canary answers it as well.
    let (canary_n, stable_n, compared) = if weight == 0 {
        (n / 10, n / 10, n / 10)
    } else {
        let canary_n = binomial(n, f64::from(weight) / f64::from(ALL), rng);
        (canary_n, n - canary_n, (n - canary_n) / 10)
    };
    let mut tally = |n, rate: f64| Tally { n, bad: binomial(n, rate.min(1.0), rng) };
    let canary = traffic.canary;
    Seen {
        errors: Arms {
            stable: tally(stable_n, HEALTHY.errors * shock),
            canary: tally(canary_n, canary.errors * shock),
        },
        slow: Arms {
            stable: tally(stable_n, HEALTHY.slow * shock),
            canary: tally(canary_n, canary.slow * shock),
        },
        compared: tally(compared, canary.disagrees),
        floor: Tally::default(),
    }
}

/// From `step` on, for at most `seconds`. Gives the rollout and when it ended.
fn simulate(traffic: &Traffic, step: usize, seconds: u64, seed: u64) -> (Rollout, u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let plan = Plan::usual(format!("simulated-{seed}"), "intent".to_owned(), 1, 2);
    let mut rollout = Rollout::start(plan, 0).expect("a good plan");
    rollout.phase = Phase::Running { step };
    let mut routers = vec![Evidence::default(); traffic.routers];
    let mut now = 0;
    while now < seconds && !rollout.is_over() {
        for router in &mut routers {
            let seen = window(traffic, rollout.weight(), now, &mut rng);
            router.observe(&seen, rollout.plan.margins.disagreement);
        }
        now += TICK;
        if routers.len() > 1 && now % LIFE == 0 {
            // One goes, and what it has seen stays; another one takes its place.
            rollout.evidence.absorb(&std::mem::take(&mut routers[0]));
            routers.rotate_left(1);
        }
        let before = rollout.step_began_ms;
        let verdict = rollout.verdict(&routers, &[], now * 1_000);
        rollout.apply(&verdict, now * 1_000);
        if rollout.step_began_ms != before {
            routers.iter_mut().for_each(Evidence::begin_step);
        }
    }
    (rollout, now)
}

/// Share of rollouts that end rolled back, and of those that end promoted.
fn ends(traffic: &Traffic, n: u64, seconds: u64) -> (f64, f64) {
    let mut ended = [0_u64; 2];
    for seed in 0..n {
        let (rollout, _) = simulate(traffic, 0, seconds, seed);
        ended[0] += u64::from(rollout.phase == Phase::RolledBack);
        ended[1] += u64::from(rollout.phase == Phase::Promoted);
    }
    (ended[0] as f64 / n as f64, ended[1] as f64 / n as f64)
}

/// Seconds until `canary` is rolled back at 5 % of 50 requests a second, median of 101 rollouts.
fn median_seconds(name: &str, routers: usize, canary: Version) -> u64 {
    const FIVE_PERCENT: usize = 2;
    let traffic = Traffic { per_second: 50, routers, canary, shocks: false };
    let mut seconds: Vec<u64> = (0..101)
        .map(|seed| match simulate(&traffic, FIVE_PERCENT, 4 * HOUR, seed) {
            (rollout, now) if rollout.phase == Phase::RolledBack => now,
            _ => u64::MAX,
        })
        .collect();
    seconds.sort_unstable();
    println!(
        "{name}, routers: {routers}: rolled back after a median of {} s, 9 of 10 within {} s",
        seconds[50], seconds[90]
    );
    seconds[50]
}

#[test]
fn of_two_thousand_healthy_canaries_at_most_one_in_a_hundred_is_rolled_back() {
    let traffic = Traffic { per_second: 50, routers: 1, canary: HEALTHY, shocks: false };
    let (rolled_back, promoted) = ends(&traffic, 2_000, 6 * HOUR);
    println!(
        "A/A: {:.2} % rolled back, {:.1} % promoted within six hours",
        100.0 * rolled_back,
        100.0 * promoted
    );
    assert!(rolled_back <= 0.01, "{rolled_back}");
    assert!(promoted >= 0.95, "{promoted}");
}

#[test]
fn shocks_that_hit_both_versions_roll_nothing_back() {
    let traffic = Traffic { per_second: 50, routers: 1, canary: HEALTHY, shocks: true };
    let (rolled_back, _) = ends(&traffic, 500, 2 * HOUR);
    println!("A/A with shocks: {:.2} % rolled back", 100.0 * rolled_back);
    assert!(rolled_back <= 0.01, "{rolled_back}");
}

#[test]
fn bad_canaries_are_rolled_back_soon() {
    assert!(median_seconds("errors 1 % -> 3 %", 1, Version { errors: 0.03, ..HEALTHY }) <= 240);
    assert!(median_seconds("errors 1 % -> 10 %", 1, Version { errors: 0.1, ..HEALTHY }) <= 30);
    // With log-normal times of sigma 0.5, 1.5 times as slow puts 15.3 % instead of 3.3 % above 1.1 times the 95th percentile.
    assert!(median_seconds("latency x 1.5", 1, Version { slow: 0.153, ..HEALTHY }) <= 60);
    assert!(median_seconds("other answers 0 % -> 20 %", 1, Version { disagrees: 0.2, ..HEALTHY }) <= 60);
}

#[test]
fn several_routers_that_come_and_go_roll_no_more_healthy_canaries_back() {
    let traffic = Traffic { per_second: 50, routers: 3, canary: HEALTHY, shocks: false };
    let (rolled_back, _) = ends(&traffic, 1_000, 3 * HOUR);
    println!("A/A, three routers: {:.2} % rolled back", 100.0 * rolled_back);
    assert!(rolled_back <= 0.01, "{rolled_back}");
}

#[test]
fn several_routers_find_a_bad_canary_almost_as_soon_as_one_that_sees_everything() {
    assert!(median_seconds("errors 1 % -> 3 %", 3, Version { errors: 0.03, ..HEALTHY }) <= 300);
    assert!(median_seconds("errors 1 % -> 10 %", 3, Version { errors: 0.1, ..HEALTHY }) <= 40);
    assert!(median_seconds("latency x 1.5", 3, Version { slow: 0.153, ..HEALTHY }) <= 60);
    assert!(median_seconds("other answers 0 % -> 20 %", 3, Version { disagrees: 0.2, ..HEALTHY }) <= 60);
}

#[test]
fn a_canary_without_traffic_holds_for_ever() {
    let traffic = Traffic { per_second: 0, routers: 1, canary: HEALTHY, shocks: false };
    let (rollout, _) = simulate(&traffic, 0, 24 * HOUR, 1);
    assert_eq!(rollout.phase, Phase::Running { step: 0 });
    assert!(matches!(rollout.verdict([], &[], 24 * HOUR * 1_000), Verdict::Hold { .. }));
}
