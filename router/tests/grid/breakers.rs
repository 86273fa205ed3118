//! Endpoints and versions that fail are left alone, and come back.

use std::time::Duration;

use futures::future::join_all;
use nanogrid_proto::v1::{EndpointState, InferOptions, OutcomeStatus};
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tonic::{Code, Status};

use crate::support::*;

const QUICK: &str = "[expert.breaker]\nrest = \"20ms\"\nlongest-rest = \"50ms\"";

async fn grid_of(endpoints: &[&ScriptedExpert], more: &'static str) -> Grid {
    let addresses = endpoints.iter().map(|expert| expert.address()).collect();
    Grid::start(&[entry("intent", endpoints[0]).versions(vec![(1, 100, addresses)]).more(more)]).await
}

fn down() -> Behaviour {
    Behaviour::fails(Status::unavailable("down"))
}

fn state_of(experts: &[nanogrid_proto::v1::Expert], expert: &ScriptedExpert) -> EndpointState {
    let endpoint = experts[0].endpoints.iter().find(|endpoint| endpoint.address == expert.address());
    endpoint.expect("it is listed").state()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_fast_costs_no_request_and_is_back_when_it_is_well() {
    let experts = ["one", "two", "bad"].map(|label| labels("intent", label));
    let [one, two, bad] = &experts;
    let grid = grid_of(&[one, two, bad], QUICK).await;
    bad.behave(down());
    for _ in 0..100 {
        let responses = join_all((0..10).map(|_| grid.infer(text_for(&["intent"])))).await;
        assert!(responses.into_iter().all(|response| response.unwrap().complete));
    }
    let n_failed = bad.n_calls();
    assert!(n_failed < 100, "{n_failed} of 1000 calls were sent to it");
    let listed = grid.until(|experts| state_of(experts, bad) == EndpointState::Ejected).await;
    assert!(listed[0].endpoints.iter().any(|endpoint| endpoint.reason.contains("failed too often")));
    let ejected = ["reason=\"consecutive_failures\"", "enforced=\"true\"", &bad.address()];
    assert_metric(&metrics(&grid).await, "nanogrid_ejections_total", &ejected, "1");

    bad.behave(Behaviour::labels(&[("well", 0.9)]));
    let mut n_well = 0;
    while n_well < 20 {
        let response = grid.infer(text_for(&["intent"])).await.unwrap();
        n_well += usize::from(label(&response, "intent") == "well");
    }
    grid.until(|experts| state_of(experts, bad) == EndpointState::Ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_half_of_the_endpoints_are_ejected_and_never_the_last() {
    let (one, two) = (labels("intent", "one"), labels("intent", "two"));
    let grid = grid_of(
        &[&one, &two],
        "[expert.breaker]\nrest = \"1m\"\nlongest-rest = \"1m\"\nleast-calls = 1000000",
    )
    .await;
    for expert in [&one, &two] {
        expert.behave(down());
    }
    for _ in 0..40 {
        assert!(!grid.infer(text_for(&["intent"])).await.unwrap().complete);
    }
    let listed = grid.until(|_| true).await;
    let states = [&one, &two].map(|expert| state_of(&listed, expert));
    assert!(states.contains(&EndpointState::Ejected) && states.contains(&EndpointState::Ready), "{states:?}");
    let text = metrics(&grid).await;
    let counted = |enforced: &str| {
        let is_it = |line: &&str| {
            line.starts_with("nanogrid_ejections_total") && line.contains(enforced) && line.ends_with(" 1")
        };
        text.lines().filter(is_it).count()
    };
    assert_eq!((counted("enforced=\"true\""), counted("enforced=\"false\"")), (1, 1), "{text}");
    // Both breakers are open, and both endpoints are asked: they may be well again.
    for expert in [&one, &two] {
        expert.behave(Behaviour::labels(&[("well", 0.9)]));
    }
    let before = [one.n_calls(), two.n_calls()];
    for _ in 0..40 {
        assert!(grid.infer(text_for(&["intent"])).await.unwrap().complete);
    }
    assert!(one.n_calls() > before[0] && two.n_calls() > before[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_a_hurry_cannot_eject_a_healthy_endpoint() {
    let (one, two) = (labels("intent", "one"), labels("intent", "two"));
    for expert in [&one, &two] {
        expert.behave(Behaviour::labels(&[("transfer", 0.9)]).after(Duration::from_millis(5)));
    }
    let grid = grid_of(&[&one, &two], "").await;
    let hurried = async |n_requests: usize| {
        let options = InferOptions {
            deadline: Some(Duration::from_millis(3).try_into().unwrap()),
            ..Default::default()
        };
        let asked = (0..n_requests).map(|_| grid.infer(with_options(text_for(&["intent"]), options)));
        for response in join_all(asked).await {
            // Late timers and quick answers happen; failures would be news.
            match response {
                Ok(response) => {
                    let status = outcome_of(&response, "intent").status();
                    assert!(
                        matches!(status, OutcomeStatus::TimedOut | OutcomeStatus::Answered),
                        "{status:?}"
                    );
                }
                Err(status) => assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}"),
            }
        }
    };
    // Before anything is known of the endpoints, and after.
    for _ in 0..10 {
        hurried(10).await;
    }
    for _ in 0..25 {
        join_all((0..10).map(|_| grid.infer(text_for(&["intent"])))).await;
    }
    for _ in 0..10 {
        hurried(10).await;
    }
    let text = metrics(&grid).await;
    for line in text.lines().filter(|line| line.starts_with("nanogrid_ejections_total")) {
        assert!(line.ends_with(" 0"), "{line}");
    }
    assert_metric(&text, "nanogrid_circuit_open", &["expert=\"intent\""], "0");
    assert!(!text.contains("nanogrid_doomed_total{expert=\"intent\"} 0"), "hopeless calls are not sent");
    for _ in 0..20 {
        assert!(grid.infer(text_for(&["intent"])).await.unwrap().complete);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_calls_fail_is_left_alone_until_a_probe_succeeds() {
    let expert = labels("intent", "transfer");
    let grid = grid_of(&[&expert], "[expert.breaker]\nrest = \"100ms\"\nlongest-rest = \"100ms\"").await;
    expert.behave(down());
    let mut n_requests = 0;
    loop {
        let response = grid.infer(text_for(&["intent"])).await.unwrap();
        let (_, status, cause, retryable) = missing(&response);
        n_requests += 1;
        if status == OutcomeStatus::CircuitOpen {
            assert!(cause.contains("most of its calls failed") && retryable, "{cause}");
            break;
        }
        assert!(n_requests < 1_000, "never");
    }
    let refused = grid.oip().model_infer(rows_for("intent", &["hi"])).await;
    assert_status(refused, Code::Unavailable, "expert `intent`: version 1 is left alone");
    assert_metric(&metrics(&grid).await, "nanogrid_circuit_open", &["expert=\"intent\""], "1");
    // Only probes get through while it is down.
    let before = expert.n_calls();
    for _ in 0..50 {
        grid.infer(text_for(&["intent"])).await.unwrap();
    }
    assert!(expert.n_calls() - before <= 10, "{}", expert.n_calls() - before);
    expert.behave(Behaviour::labels(&[("transfer", 0.9)]));
    while !grid.infer(text_for(&["intent"])).await.unwrap().complete {
        tick().await;
    }
    assert_metric(&metrics(&grid).await, "nanogrid_circuit_open", &["expert=\"intent\""], "0");
}

/// Is the version left alone when it does not answer in time any more?
async fn is_left_alone_when_late(policy: &'static str) -> bool {
    let expert = labels("intent", "transfer");
    let grid = grid_of(&[&expert], policy).await;
    for _ in 0..150 {
        assert!(grid.infer(text_for(&["intent"])).await.unwrap().complete);
    }
    expert.behave(Behaviour::hangs());
    for _ in 0..2 {
        // More than half of all calls in the window.
        join_all((0..100).map(|_| grid.infer(text_for(&["intent"])))).await;
    }
    metrics(&grid)
        .await
        .lines()
        .any(|line| line.starts_with("nanogrid_circuit_open{") && line.ends_with(" 1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_late_is_left_alone_only_where_somebody_else_answers() {
    assert!(!is_left_alone_when_late("timeout = \"300ms\"").await);
    let fallback = "timeout = \"300ms\"\n[[expert.fallback]]\nlabel = \"unknown\"";
    assert!(is_left_alone_when_late(fallback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_that_was_restarted_is_asked_at_once_whatever_its_past() {
    let mut expert = labels("intent", "transfer");
    let grid = grid_of(&[&expert], "[expert.breaker]\nrest = \"1h\"\nlongest-rest = \"1h\"").await;
    expert.behave(down());
    for _ in 0..40 {
        grid.infer(text_for(&["intent"])).await.unwrap();
    }
    assert_metric(&metrics(&grid).await, "nanogrid_circuit_open", &["expert=\"intent\""], "1");
    expert.kill();
    grid.until_ready("intent", false).await;
    expert.behave(Behaviour::labels(&[("transfer", 0.9)]));
    expert.restart();
    grid.until_ready("intent", true).await;
    assert!(grid.infer(text_for(&["intent"])).await.unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_one_version_must_agree_on_their_labels() {
    let profile = |labels_sha256: &str| {
        let mut profile = Profile::of("intent", 1, "text-classification");
        profile.packages[0].labels_sha256 = labels_sha256.to_owned();
        profile
    };
    let answer = || Behaviour::labels(&[("transfer", 0.9)]);
    let mut first = ScriptedExpert::start(profile("aaaa"), answer());
    let second = ScriptedExpert::start(profile("bbbb"), answer());
    let one = |endpoints: Vec<String>| [entry("intent", &first).versions(vec![(1, 100, endpoints)])];
    let grid = Grid::start(&one(vec![first.address()])).await;
    grid.write(&grid_file(&one(vec![first.address(), second.address()])));
    let listed = grid
        .until(|experts| {
            experts[0].endpoints.len() == 2 && state_of(experts, &second) == EndpointState::Refused
        })
        .await;
    let reason = &listed[0].endpoints[1].reason;
    assert!(reason.contains("bbbb instead of aaaa") && reason.contains(&first.address()), "{reason}");
    for _ in 0..10 {
        grid.infer(text_for(&["intent"])).await.unwrap();
    }
    assert_eq!(second.n_calls(), 0);
    // The last one with the old labels goes: the new ones are the version's now.
    first.kill();
    grid.until(|experts| state_of(experts, &second) == EndpointState::Ready).await;
}
