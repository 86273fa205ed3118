use tokio::time::advance;

use super::*;

const RTT: Duration = Duration::from_millis(2);

#[track_caller]
fn check(actual: f32, expected: f32) {
    assert!((actual - expected).abs() <= 0.01 * expected, "{actual} is not about {expected}");
}

#[tokio::test(start_paused = true)]
async fn costs_what_answers_take_times_who_waits() {
    let load = Load::new(RTT);
    check(load.cost(Instant::now()), 2_000.0);
    let waiting = [load.start(), load.start()];
    check(load.cost(Instant::now()), 6_000.0);
    drop(waiting);
    check(load.cost(Instant::now()), 2_000.0);
    assert_eq!((load.pending(), load.rtt()), (0, RTT), "dropped without a result is no sample");
}

#[tokio::test(start_paused = true)]
async fn jumps_to_a_slow_answer_and_comes_down_slowly() {
    let load = Load::new(RTT);
    load.start().succeeded(50 * RTT);
    check(load.cost(Instant::now()), 100_000.0);
    advance(DECAY).await;
    load.start().succeeded(RTT);
    check(
        load.cost(Instant::now()),
        100_000.0 / std::f32::consts::E + 2_000.0 * (1.0 - 1.0 / std::f32::consts::E),
    );
}

#[tokio::test(start_paused = true)]
async fn tells_microseconds_apart() {
    let load = Load::new(Duration::from_micros(100));
    advance(20 * DECAY).await;
    load.start().succeeded(Duration::from_micros(137));
    check(load.cost(Instant::now()), 137.0);
    assert_eq!(load.rtt().as_micros(), 137);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_calls_away_for_about_six_seconds() {
    let load = Load::new(RTT);
    load.start().failed(penalty(RTT, None));
    check(load.cost(Instant::now()), 40_000.0);
    assert_eq!(load.rtt(), RTT, "the median of the pool must not rise with failures");
    advance(Duration::from_millis(5_900)).await;
    assert!(load.cost(Instant::now()) > 2_000.0);
    advance(Duration::from_millis(100)).await;
    assert!(load.cost(Instant::now()) < 2_000.0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_never_lowers_the_cost() {
    let load = Load::new(RTT);
    load.start().failed(100 * RTT);
    load.start().failed(20 * RTT);
    check(load.cost(Instant::now()), 200_000.0);
}

#[test]
fn the_penalty_follows_the_pool_and_the_pushback_up_to_a_limit() {
    let seconds = Duration::from_secs;
    assert_eq!(penalty(RTT, None), 20 * RTT);
    assert_eq!(penalty(RTT, Some(RTT)), 20 * RTT);
    assert_eq!(penalty(RTT, Some(seconds(1))), seconds(1));
    assert_eq!(penalty(RTT, Some(seconds(1_000))), seconds(300));
    assert_eq!(penalty(Duration::MAX, None), seconds(300));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_left_raises_the_cost_to_the_wait_and_never_lowers_it() {
    let load = Load::new(RTT);
    load.start().left(RTT / 2);
    check(load.cost(Instant::now()), 2_000.0);
    load.start().left(10 * RTT);
    check(load.cost(Instant::now()), 20_000.0);
    assert_eq!(load.rtt(), RTT);
}

#[tokio::test(start_paused = true)]
async fn an_idle_endpoint_becomes_cheap_but_its_waiting_calls_still_count() {
    let load = Load::new(RTT);
    advance(Duration::from_secs(3_600)).await;
    let cost = load.cost(Instant::now());
    let _waiting = load.start();
    assert!(cost > 0.0 && load.cost(Instant::now()) == 2.0 * cost);
}

#[tokio::test(start_paused = true)]
async fn begins_with_a_tenth_of_its_share_and_has_all_of_it_after_ten_seconds() {
    let load = Load::new(RTT);
    assert_eq!(load.warmth(Instant::now()), 1.0, "no slow start unless asked for");
    advance(Duration::from_secs(60)).await;
    load.warm_from(Instant::now());
    for expected in [0.1, 0.55, 1.0, 1.0] {
        check(load.warmth(Instant::now()), expected);
        advance(WARM_UP / 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn survives_its_millisecond_clock_and_callers_with_an_older_now() {
    let (load, past) = (Load::new(RTT), Instant::now());
    advance(Duration::from_secs(50 * 24 * 3_600)).await;
    load.start().succeeded(RTT);
    check(load.cost(Instant::now()), 2_000.0);
    check(load.cost(Instant::now() - Duration::from_millis(5)), 2_000.0);
    assert!(load.cost(past).is_finite());
}
