use proptest::prelude::*;
use tokio::time::advance;

use super::*;

fn granted(budget: &Budget, ratio: f32) -> usize {
    (0..1_000).take_while(|_| budget.withdraw(ratio)).count()
}

fn deposit(budget: &Budget, n_calls: usize) {
    (0..n_calls).for_each(|_| budget.deposit());
}

#[tokio::test(start_paused = true)]
async fn allows_a_share_of_the_calls() {
    let budget = Budget::for_retries();
    deposit(&budget, 1_000);
    assert_eq!(granted(&budget, 0.1), 100);
    deposit(&budget, 9);
    assert_eq!(granted(&budget, 0.1), 0);
    deposit(&budget, 1);
    assert_eq!(granted(&budget, 0.1), 1);
    assert_eq!(granted(&budget, 0.15), 1_010 * 15 / 100 - 101, "the share is exact, and may change");
}

#[tokio::test(start_paused = true)]
async fn allows_one_retry_per_second_in_any_case_and_not_on_top() {
    let budget = Budget::for_retries();
    deposit(&budget, 20);
    assert_eq!(granted(&budget, 0.1), 10);
    deposit(&budget, 80);
    assert_eq!(granted(&budget, 0.1), 0, "10 % of 100 are spent");
    advance(TTL / 2).await;
    assert_eq!(granted(&budget, 0.1), 0);
    advance(TTL / 2 + TTL / 10).await;
    assert_eq!(granted(&budget, 0.1), 10);
}

#[tokio::test(start_paused = true)]
async fn allows_no_hedge_without_calls() {
    let budget = Budget::for_hedges();
    assert_eq!(granted(&budget, 0.05), 0);
    deposit(&budget, 100);
    assert_eq!(granted(&budget, 0.05), 5);
}

#[tokio::test(start_paused = true)]
async fn forgets_calls_after_a_while() {
    let budget = Budget::for_hedges();
    deposit(&budget, 1_000);
    advance(TTL + TTL / 10).await;
    assert_eq!(granted(&budget, 0.1), 0);
}

#[tokio::test(start_paused = true)]
async fn the_router_allows_a_tenth_of_its_calls_whatever_the_experts_do() {
    let (global, experts) = (GlobalBudget::new(), [Budget::for_retries(), Budget::for_retries()]);
    for _ in 0..500 {
        experts.iter().for_each(|expert| {
            global.deposit();
            expert.deposit();
        });
    }
    let mut denied = Vec::new();
    let n_granted = (0..1_000)
        .filter(|i| global.withdraw(&experts[i % 2], 1.0).map_err(|why| denied.push(why)).is_ok())
        .count();
    assert_eq!(n_granted, 100);
    assert!(denied.iter().all(|why| *why == Denied::Global));
    assert_eq!(granted(&experts[0], 1.0), 450, "what the router denied was given back");
    assert_eq!(global.withdraw(&experts[0], 1.0), Err(Denied::Expert));
}

proptest! {
    /// In any 10 s, and over all: no more than the minimum and the share.
    #[test]
    fn attempts_stay_within_the_budget(
        ratio in 0.0..0.5_f32, steps in prop::collection::vec((0..1_500_u64, 0..30_u32, 0..30_u32), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("runtime");
        runtime.block_on(async {
            let (budget, start) = (Budget::for_retries(), Instant::now());
            let (mut n_calls, mut retries) = (0_u32, Vec::new());
            for (wait, calls, wishes) in steps {
                advance(Duration::from_millis(wait)).await;
                deposit(&budget, calls as usize);
                n_calls += calls;
                for _ in 0..wishes {
                    if budget.withdraw(ratio) { retries.push(start.elapsed()); }
                }
                let seconds = start.elapsed().as_secs() / 10 + 1;
                let allowed = seconds as f64 * 10.0 + f64::from(ratio) * f64::from(n_calls);
                prop_assert!(retries.len() as f64 <= allowed + 1e-3, "{} of {allowed}", retries.len());
            }
            if ratio == 0.0 {
                for window in retries.windows(11) {
                    prop_assert!(window[10] - window[0] >= TTL);
                }
            }
            Ok(())
        })?;
    }
}
