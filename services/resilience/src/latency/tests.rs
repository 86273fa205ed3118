use proptest::prelude::*;
use tokio::time::advance;

use super::*;

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[track_caller]
fn check(actual: Option<Duration>, expected: u64) {
    let actual = actual.expect("enough samples").as_micros() as f64;
    assert!((actual / expected as f64 - 1.0).abs() < 0.01, "{actual} is not about {expected}");
}

fn record(latency: &Latency, samples: impl IntoIterator<Item = u64>) {
    samples.into_iter().for_each(|sample| latency.record(micros(sample)));
}

#[tokio::test(start_paused = true)]
async fn answers_from_the_hundredth_sample_on() {
    let latency = Latency::default();
    record(&latency, 1..=99);
    assert_eq!((latency.p50(), latency.at(0.9)), (None, None));
    record(&latency, [100]);
    check(latency.p50(), 50);
    check(latency.at(0.9), 90);
}

#[tokio::test(start_paused = true)]
async fn knows_microseconds() {
    let latency = Latency::new(1);
    record(&latency, 1_001..=2_000);
    advance(micros(REFRESH_MILLIS * 1_000)).await;
    record(&latency, [1_500]);
    check(latency.p10(), 1_100);
    check(latency.p50(), 1_500);
    check(latency.p95(), 1_950);
    check(latency.p99(), 1_990);
    check(latency.at(0.75), 1_750);
}

#[tokio::test(start_paused = true)]
async fn another_quantile_is_computed_at_once_and_kept_fresh() {
    let latency = Latency::new(1);
    record(&latency, (0..100).map(|_| 1_000));
    check(latency.at(0.9), 1_000);
    advance(micros(REFRESH_MILLIS * 1_000)).await;
    record(&latency, (0..10_000).map(|_| 3_000));
    advance(micros(REFRESH_MILLIS * 1_000)).await;
    record(&latency, [3_000]);
    check(latency.at(0.9), 3_000);
}

#[tokio::test(start_paused = true)]
async fn forgets_what_left_the_window() {
    let latency = Latency::new(100);
    let slice = Duration::from_millis(SLICE_MILLIS);
    record(&latency, (0..1_000).map(|_| 100));
    advance(slice).await;
    record(&latency, (0..10).map(|_| 9_000));
    check(latency.p50(), 100);
    advance(slice).await;
    record(&latency, [9_000]);
    assert_eq!(latency.p50(), None, "too few of the new ones");
    record(&latency, (0..100).map(|_| 9_000));
    check(latency.p10(), 9_000);
}

#[tokio::test(start_paused = true)]
async fn is_silent_when_nobody_recorded_for_a_window() {
    let latency = Latency::new(1);
    record(&latency, 1..=100);
    advance(Duration::from_millis(2 * SLICE_MILLIS - 1)).await;
    assert!(latency.p10().is_some());
    advance(Duration::from_millis(1)).await;
    assert_eq!((latency.p10(), latency.at(0.95), latency.at(0.5)), (None, None, None));
}

#[tokio::test(start_paused = true)]
async fn takes_any_duration() {
    let latency = Latency::new(1);
    latency.record(Duration::ZERO);
    check(latency.p50(), 1);
    (0..10).for_each(|_| latency.record(Duration::MAX));
    advance(Duration::from_secs(1)).await;
    latency.record(Duration::MAX);
    check(latency.p50(), LONGEST_MICROS);
}

proptest! {
    #[test]
    fn quantiles_are_in_order_and_among_the_samples(samples in prop::collection::vec(1..1_000_000_u64, 100..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("runtime");
        runtime.block_on(async {
            let latency = Latency::default();
            record(&latency, samples.iter().copied());
            let quantiles = [latency.p10(), latency.p50(), latency.p95(), latency.p99()];
            prop_assert!(quantiles.is_sorted() && quantiles.iter().all(Option::is_some));
            let longest = samples.iter().max().copied().unwrap_or_default() as f64;
            prop_assert!(latency.p99().unwrap().as_micros() as f64 <= longest * 1.01 + 1.0);
            Ok(())
        })?;
    }
}
