use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> BreakerSettings {
    BreakerSettings::default()
}

fn tell(breaker: &Breaker, verdict: Verdict, n_calls: usize) -> Option<Transition> {
    (0..n_calls).filter_map(|_| breaker.admit()?.record(&settings(), verdict)).reduce(|_, last| last)
}

fn tripped() -> Breaker {
    let breaker = Breaker::new(7);
    tell(&breaker, Verdict::Failure, 5).expect("trips");
    breaker
}

/// The rest that the next failed probe brings.
async fn next_rest(breaker: &Breaker) -> Duration {
    advance(settings().longest_rest).await;
    match breaker.admit().expect("a probe").record(&settings(), Verdict::Failure) {
        Some(Transition::Opened { reason: Reason::FailedProbe, rest }) => rest,
        other => panic!("expected a failed probe: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn trips_on_five_hard_failures_in_a_row_and_not_on_four() {
    let breaker = Breaker::new(1);
    assert_eq!(tell(&breaker, Verdict::Failure, 4), None);
    assert_eq!(tell(&breaker, Verdict::Success, 1), None);
    assert_eq!(tell(&breaker, Verdict::Failure, 4), None);
    let opened = tell(&breaker, Verdict::Failure, 1);
    assert!(
        matches!(opened, Some(Transition::Opened { reason: Reason::ConsecutiveFailures, .. })),
        "{opened:?}"
    );
    assert!(breaker.admit().is_none() && !breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn trips_on_a_success_rate_under_one_half_of_at_least_twenty_calls() {
    let breaker = Breaker::new(1);
    for _ in 0..9 {
        assert_eq!(tell(&breaker, Verdict::Success, 1), None);
        assert_eq!(tell(&breaker, Verdict::Failure, 1), None);
    }
    assert_eq!(tell(&breaker, Verdict::Failure, 1), None, "19 calls");
    assert_eq!(tell(&breaker, Verdict::Success, 1), None, "10 of 20 is not under one half");
    let opened = tell(&breaker, Verdict::Failure, 1);
    assert!(matches!(opened, Some(Transition::Opened { reason: Reason::SuccessRate, .. })), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn forgets_what_is_older_than_the_window() {
    let breaker = Breaker::new(1);
    for _ in 0..5 {
        tell(&breaker, Verdict::Shed, 3);
        tell(&breaker, Verdict::Success, 1);
    }
    advance(11 * SECOND).await;
    assert_eq!(tell(&breaker, Verdict::Shed, 19), None);
}

#[tokio::test(start_paused = true)]
async fn shed_calls_count_for_the_rate_only() {
    let breaker = Breaker::new(1);
    assert_eq!(tell(&breaker, Verdict::Shed, 19), None);
    let opened = tell(&breaker, Verdict::Shed, 1);
    assert!(matches!(opened, Some(Transition::Opened { reason: Reason::SuccessRate, .. })), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_say_nothing_never_count() {
    let breaker = Breaker::new(1);
    assert_eq!(tell(&breaker, Verdict::Neutral, 1_000), None);
    assert_eq!(tell(&breaker, Verdict::Failure, 4), None);
    assert_eq!(tell(&breaker, Verdict::Neutral, 1_000), None);
    assert!(tell(&breaker, Verdict::Failure, 1).is_some(), "nor do they interrupt a row of failures");
}

#[tokio::test(start_paused = true)]
async fn admits_one_probe_after_the_rest_and_closes_when_it_succeeds() {
    let breaker = tripped();
    let BreakerState::Open { until } = breaker.state() else { panic!("open") };
    let rest = until - Instant::now();
    assert!(rest >= SECOND / 2 && rest <= SECOND, "{rest:?}");
    advance(rest - Duration::from_millis(1)).await;
    assert!(!breaker.would_admit(Instant::now()) && breaker.admit().is_none());
    advance(Duration::from_millis(1)).await;
    assert!(breaker.would_admit(Instant::now()));
    let probe = breaker.admit().expect("one probe");
    assert!(probe.is_probe());
    assert_eq!(breaker.state(), BreakerState::Probing);
    assert!(!breaker.would_admit(Instant::now()) && breaker.admit().is_none(), "and only one");
    assert_eq!(probe.record(&settings(), Verdict::Success), Some(Transition::Closed));
    assert!(breaker.admit().is_some_and(|permit| !permit.is_probe()));
    assert_eq!(tell(&breaker, Verdict::Failure, 4), None, "what was before the trip is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_shed_probe_has_failed() {
    let breaker = tripped();
    advance(SECOND).await;
    let opened = breaker.admit().expect("a probe").record(&settings(), Verdict::Shed);
    assert!(matches!(opened, Some(Transition::Opened { reason: Reason::FailedProbe, .. })), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn rests_double_up_to_the_longest_with_jitter_that_the_seed_decides() {
    let rests = async |seed| {
        let breaker = Breaker::new(seed);
        tell(&breaker, Verdict::Failure, 5);
        let mut rests = Vec::new();
        for step in [2, 4, 8, 10, 10] {
            let rest = next_rest(&breaker).await;
            assert!(rest >= SECOND * step / 2 && rest <= SECOND * step, "{rest:?} of {step} s");
            rests.push(rest);
        }
        rests
    };
    assert_eq!(rests(1).await, rests(1).await);
    assert_ne!(rests(1).await, rests(2).await);
}

#[tokio::test(start_paused = true)]
async fn rests_begin_anew_only_after_it_worked_for_a_whole_window() {
    let breaker = tripped();
    next_rest(&breaker).await;
    next_rest(&breaker).await;
    advance(settings().longest_rest).await;
    tell(&breaker, Verdict::Success, 1);
    let Some(Transition::Opened { rest, .. }) = tell(&breaker, Verdict::Failure, 5) else { panic!("trips") };
    assert!(rest >= 4 * SECOND, "it fails again at once: {rest:?}");

    advance(settings().longest_rest).await;
    tell(&breaker, Verdict::Success, 1);
    advance(settings().window).await;
    let Some(Transition::Opened { rest, .. }) = tell(&breaker, Verdict::Failure, 5) else { panic!("trips") };
    assert!(rest <= SECOND, "it worked in between: {rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_dropped_lets_the_next_caller_probe_at_once() {
    let breaker = tripped();
    advance(SECOND).await;
    drop(breaker.admit().expect("a probe"));
    let second = breaker.admit().expect("another probe");
    assert!(second.is_probe() && breaker.admit().is_none());
    assert_eq!(second.record(&settings(), Verdict::Neutral), None);
    assert!(breaker.admit().is_some_and(|permit| permit.is_probe()), "as after one that says nothing");
}

#[tokio::test(start_paused = true)]
async fn results_of_calls_from_before_the_trip_change_nothing() {
    let breaker = Breaker::new(1);
    let mut early = (0..10).map(|_| breaker.admit().expect("closed")).collect::<Vec<_>>();
    tell(&breaker, Verdict::Failure, 5);
    let state = breaker.state();
    assert_eq!(early.pop().expect("ten").record(&settings(), Verdict::Success), None);
    assert_eq!(breaker.state(), state, "open: not closed by it");

    advance(SECOND).await;
    let probe = breaker.admit().expect("a probe");
    assert_eq!(early.pop().expect("ten").record(&settings(), Verdict::Failure), None);
    assert_eq!(breaker.state(), BreakerState::Probing, "probing: not decided by it");
    assert_eq!(probe.record(&settings(), Verdict::Success), Some(Transition::Closed));
    for permit in early {
        assert_eq!(permit.record(&settings(), Verdict::Failure), None);
    }
    assert!(breaker.is_closed(), "closed: not tripped by them");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_admitted_anyway_changes_nothing_unless_a_probe_is_due() {
    let breaker = tripped();
    let state = breaker.state();
    for verdict in [Verdict::Success, Verdict::Failure] {
        assert_eq!(breaker.admit_anyway().record(&settings(), verdict), None);
        assert_eq!(breaker.state(), state);
    }
    advance(SECOND).await;
    let probe = breaker.admit_anyway();
    assert!(probe.is_probe());
    assert_eq!(breaker.admit_anyway().record(&settings(), Verdict::Failure), None);
    assert_eq!(probe.record(&settings(), Verdict::Success), Some(Transition::Closed));
}

proptest! {
    /// Whatever callers do: never two probes at once, and an open breaker whose rest is over always admits somebody.
    #[test]
    fn there_is_one_probe_at_most_and_never_none_for_ever(seed: u64, steps in prop::collection::vec((0..6_u8, 0..4_u8, 0..3_000_u64), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("runtime");
        runtime.block_on(async {
            let breaker = Breaker::new(seed);
            let mut held = Vec::new();
            for (action, verdict, wait) in steps {
                let verdict = [Verdict::Success, Verdict::Failure, Verdict::Shed, Verdict::Neutral][verdict as usize];
                match action {
                    0 | 1 => held.extend(breaker.admit()),
                    2 => held.push(breaker.admit_anyway()),
                    3 => drop((!held.is_empty()).then(|| held.swap_remove(wait as usize % held.len()))),
                    4 => advance(Duration::from_millis(wait)).await,
                    _ => {
                        tell(&breaker, verdict, 5);
                        if let Some(permit) = held.pop() { permit.record(&settings(), verdict); }
                    }
                }
                let n_probes = held.iter().filter(|permit| permit.is_probe()).count();
                prop_assert!(n_probes <= 1);
                prop_assert_eq!(n_probes == 1, breaker.state() == BreakerState::Probing);
            }
            held.clear();
            advance(settings().longest_rest).await;
            prop_assert!(breaker.admit().is_some());
            Ok(())
        })?;
    }
}
