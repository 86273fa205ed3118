//! A second endpoint beside one that is slower than most.

use std::{net::Ipv4Addr, time::Duration};

use futures::future::join_all;
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};

use crate::support::*;

const POLICY: &str = "[expert.hedge]\nafter-percentile = 95\nbudget = 5";

fn on(host: u8, label: &str) -> ScriptedExpert {
    let profile = Profile::of("intent", 1, "text-classification");
    ScriptedExpert::start_on(Ipv4Addr::new(127, 0, 0, host), profile, Behaviour::labels(&[(label, 0.9)]))
}

/// After enough calls to know what is usual.
async fn grid_of(endpoints: [&ScriptedExpert; 2], more: &'static str) -> Grid {
    let addresses = endpoints.map(|expert| expert.address()).to_vec();
    let grid =
        Grid::start(&[entry("intent", endpoints[0]).versions(vec![(1, 100, addresses)]).more(more)]).await;
    for _ in 0..200 {
        grid.infer(text_for(&["intent"])).await.unwrap();
    }
    grid
}

/// Asks until the slow one was asked, and says how many of the answers were hedged.
async fn ask_until_slow(grid: &Grid, slow: &ScriptedExpert) -> usize {
    let before = slow.n_calls();
    let mut n_hedged = 0;
    while slow.n_calls() == before {
        let response = grid.infer(text_for(&["intent"])).await.unwrap();
        assert!(response.complete);
        n_hedged += usize::from(outcome_of(&response, "intent").hedged);
    }
    n_hedged
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quicker_of_two_hosts_answers_and_the_other_call_is_cancelled() {
    let (slow, quick) = (on(2, "slow"), on(3, "quick"));
    let grid = grid_of([&slow, &quick], POLICY).await;
    slow.behave(Behaviour::hangs());
    assert!(ask_until_slow(&grid, &slow).await > 0);
    eventually("the call that lost is cancelled", || slow.n_dropped() > 0).await;
    let text = metrics(&grid).await;
    // Other calls may have been slower than most as well.
    assert!(!text.contains("nanogrid_hedges_total{expert=\"intent\",outcome=\"won\"} 0"), "{text}");
    assert!(
        text.contains("nanogrid_attempts_total{expert=\"intent\",version=\"1\",kind=\"hedge\"}"),
        "{text}"
    );
    // A hedge is no verdict: the endpoint has lost a race, not failed.
    let ejected = ["reason=\"consecutive_failures\"", "enforced=\"true\"", &slow.address()];
    assert_metric(&text, "nanogrid_ejections_total", &ejected, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_on_the_same_host_is_asked() {
    let (slow, quick) = (on(1, "slow"), on(1, "quick"));
    let grid = grid_of([&slow, &quick], POLICY).await;
    slow.behave(Behaviour::labels(&[("slow", 0.9)]).after(Duration::from_millis(20)));
    assert_eq!(ask_until_slow(&grid, &slow).await, 0);
    let labels = ["expert=\"intent\"", "outcome=\"won\""];
    assert_metric(&metrics(&grid).await, "nanogrid_hedges_total", &labels, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_nobody_is() {
    let (slow, quick) = (on(2, "slow"), on(3, "quick"));
    let grid = grid_of([&slow, &quick], "").await;
    slow.behave(Behaviour::labels(&[("slow", 0.9)]).after(Duration::from_millis(20)));
    assert_eq!(ask_until_slow(&grid, &slow).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hedges_stay_within_their_budget() {
    let (one, two) = (on(2, "one"), on(3, "two"));
    let grid = grid_of([&one, &two], POLICY).await;
    // Every call is slower than what was usual.
    for expert in [&one, &two] {
        expert.behave(Behaviour::labels(&[("late", 0.9)]).after(Duration::from_millis(15)));
    }
    for _ in 0..20 {
        join_all((0..5).map(|_| grid.infer(text_for(&["intent"])))).await;
    }
    let n_calls = one.n_calls() + two.n_calls();
    // 5 % of 300 calls.
    assert!(n_calls <= 315, "{n_calls}");
}
