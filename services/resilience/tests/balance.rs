//! The balancer as a whole, on a virtual clock: 300 calls per second to three endpoints of 2 ms for two minutes, one of
//! which misbehaves from second 20 to second 80. There are no retries here: every failure that is picked is counted.
//!
//! `cargo test -p nanogrid-resilience --test balance -- --nocapture` prints the table that is in the docs of `pick`.

mod simulation;

use simulation::{Picker, Report, Scenario, run};

const SEEDS: [u64; 3] = [1, 2, 3];

/// The worst of several seeds in each figure.
async fn worst(picker: Picker, scenario: Scenario) -> Report {
    let mut worst = Report::default();
    for seed in SEEDS {
        worst = worst.worse(&run(picker, scenario, seed).await);
    }
    println!("| {scenario:?} | {picker:?} | {worst} |");
    worst
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_fast_attracts_nobody() {
    let plain = worst(Picker::PeakEwma, Scenario::FailsFast).await;
    assert!(plain.errors > 0.5, "or this simulation no longer shows what is to be avoided");
    worst(Picker::Random, Scenario::FailsFast).await;
    // The penalty alone tries it again every few seconds; breakers do so ever less often.
    for (picker, most_errors) in [(Picker::Penalty, 0.002), (Picker::PenaltyAndBreakers, 0.001)] {
        let ours = worst(picker, Scenario::FailsFast).await;
        assert!(ours.errors_after_first_second < most_errors, "{ours}");
        assert!(ours.back_after < 15.0, "{ours}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_three_in_ten_is_avoided() {
    let random = worst(Picker::Random, Scenario::FailsSometimes).await;
    worst(Picker::PeakEwma, Scenario::FailsSometimes).await;
    for picker in [Picker::Penalty, Picker::PenaltyAndBreakers] {
        let ours = worst(picker, Scenario::FailsSometimes).await;
        assert!(ours.errors < random.errors / 20.0, "{ours}");
        assert!(ours.back_after < 15.0, "{ours}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_gets_little() {
    let random = worst(Picker::Random, Scenario::Slow).await;
    worst(Picker::PeakEwma, Scenario::Slow).await;
    for picker in [Picker::Penalty, Picker::PenaltyAndBreakers] {
        let ours = worst(picker, Scenario::Slow).await;
        assert!(ours.share < random.share / 20.0, "{ours}");
        assert!(ours.back_after < 15.0, "{ours}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_is_neither_starved_nor_flooded() {
    worst(Picker::Random, Scenario::Joins).await;
    let plain = worst(Picker::PeakEwma, Scenario::Joins).await;
    assert!(plain.back_after > 20.0, "or this simulation no longer shows what is to be avoided");
    for picker in [Picker::Penalty, Picker::PenaltyAndBreakers] {
        let ours = worst(picker, Scenario::Joins).await;
        assert!(ours.first_second > 0.005 && ours.first_second < 0.15, "{ours}");
        assert!(ours.back_after < 10.0, "{ours}");
    }
}
