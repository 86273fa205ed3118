//! Second tries: where they go, when they stop, and how many there are.

use std::time::Duration;

use futures::future::join_all;
use nanogrid_proto::v1::{InferResponse, OutcomeStatus};
use nanogrid_testkit::expert::{Behaviour, ScriptedExpert};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::support::*;

fn shed(pushback_ms: &'static str) -> Behaviour {
    let mut status = Status::resource_exhausted("the queue is full");
    status.metadata_mut().insert("grpc-retry-pushback-ms", pushback_ms.parse().unwrap());
    Behaviour::fails(status)
}

/// `intent` at these endpoints, with more keys in its table.
async fn grid_of(endpoints: &[&ScriptedExpert], more: &'static str) -> Grid {
    let addresses = endpoints.iter().map(|expert| expert.address()).collect();
    Grid::start(&[entry("intent", endpoints[0]).versions(vec![(1, 100, addresses)]).more(more)]).await
}

async fn ask(grid: &Grid) -> InferResponse {
    grid.infer(text_for(&["intent"])).await.unwrap()
}

fn n_calls(experts: &[&ScriptedExpert]) -> usize {
    experts.iter().map(|expert| expert.n_calls()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_tried_on_another_endpoint_which_is_told() {
    let (bad, good) = (labels("intent", "bad"), labels("intent", "good"));
    bad.behave(Behaviour::fails(Status::unavailable("going away")));
    let grid = grid_of(&[&bad, &good], "").await;
    let mut n_retried = 0;
    for _ in 0..64 {
        let response = ask(&grid).await;
        assert_eq!(label(&response, "intent"), "good");
        let outcome = outcome_of(&response, "intent");
        assert_eq!(outcome.endpoint, good.address());
        n_retried += usize::from(outcome.attempts == 2);
    }
    assert!(n_retried > 0 && n_retried == bad.n_calls(), "{n_retried} retries, {} failures", bad.n_calls());
    let told = |expert: &ScriptedExpert, n: &str| {
        let told = |seen: &&nanogrid_testkit::expert::Seen| {
            seen.metadata.get("grpc-previous-rpc-attempts").is_some_and(|value| value == n)
        };
        expert.seen().iter().filter(told).count()
    };
    assert_eq!((told(&good, "1"), told(&bad, "1")), (n_retried, 0));
    let labels = ["expert=\"intent\"", "version=\"1\"", "kind=\"retry\""];
    assert_metric(&metrics(&grid).await, "nanogrid_attempts_total", &labels, &n_retried.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_fail_everywhere_is_tried_once() {
    let (one, two) = (labels("intent", "one"), labels("intent", "two"));
    let grid = grid_of(&[&one, &two], "[expert.retry]\nattempts = 5\nalso-on = [\"internal\"]").await;
    for (idx, status) in [
        Status::invalid_argument("no text"),
        Status::not_found("no such model"),
        Status::deadline_exceeded("late"),
        // Not shed, for it does not say when to come back: the message is too large, perhaps.
        Status::resource_exhausted("too large"),
        Status::data_loss("not in `also-on`"),
    ]
    .into_iter()
    .enumerate()
    {
        for expert in [&one, &two] {
            expert.behave(Behaviour::fails(status.clone()));
        }
        let outcome = outcome_of(&ask(&grid).await, "intent").clone();
        assert_eq!((outcome.attempts, n_calls(&[&one, &two])), (1, idx + 1), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_the_policy_names_are_tried_elsewhere_and_only_there() {
    let policy = "[expert.retry]\nattempts = 5\nalso-on = [\"internal\"]";
    let broken = Behaviour::fails(Status::internal("broken"));
    let (one, two) = (labels("intent", "one"), labels("intent", "two"));
    let grid = grid_of(&[&one, &two], policy).await;
    for expert in [&one, &two] {
        expert.behave(broken.clone());
    }
    let outcome = outcome_of(&ask(&grid).await, "intent").clone();
    assert_eq!((outcome.attempts, one.n_calls(), two.n_calls()), (2, 1, 1));
    assert!(outcome.error.unwrap().message.contains("broken"));

    let alone = labels("topic", "only");
    let grid = Grid::start(&[entry("topic", &alone).more(policy)]).await;
    alone.behave(broken);
    let response = grid.infer(text_for(&["topic"])).await.unwrap();
    assert_eq!((outcome_of(&response, "topic").attempts, alone.n_calls()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_says_when_to_come_back_and_whether() {
    let (one, two, three) = (labels("intent", "one"), labels("intent", "two"), labels("intent", "three"));
    let grid = grid_of(&[&one, &two, &three], "").await;
    // One of three: two of them would be most, and then nobody is asked again.
    one.behave(shed("60"));
    let slowest = async {
        let mut slowest = Duration::ZERO;
        while one.n_calls() == 0 {
            let started = Instant::now();
            assert!(ask(&grid).await.complete);
            slowest = slowest.max(started.elapsed());
        }
        slowest
    }
    .await;
    assert!(slowest >= Duration::from_millis(60), "{slowest:?}");

    for expert in [&one, &two, &three] {
        expert.behave(shed("-1"));
    }
    let before = n_calls(&[&one, &two, &three]);
    let response = ask(&grid).await;
    assert_eq!(outcome_of(&response, "intent").status(), OutcomeStatus::Shed);
    assert_eq!(n_calls(&[&one, &two, &three]), before + 1);
    let labels = ["expert=\"intent\"", "reason=\"pushback\""];
    assert_metric(&metrics(&grid).await, "nanogrid_retries_denied_total", &labels, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_most_endpoints_shed_nobody_is_asked_again() {
    let (one, two) = (labels("intent", "one"), labels("intent", "two"));
    let grid = grid_of(&[&one, &two], "").await;
    for expert in [&one, &two] {
        expert.behave(shed("1"));
    }
    while one.n_calls() == 0 || two.n_calls() == 0 {
        assert!(!ask(&grid).await.complete);
    }
    let before = n_calls(&[&one, &two]);
    for _ in 0..10 {
        assert_eq!(outcome_of(&ask(&grid).await, "intent").attempts, 1);
    }
    assert_eq!(n_calls(&[&one, &two]), before + 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_everything_is_down_attempts_stay_within_a_tenth_of_the_requests() {
    const N_REQUESTS: usize = 400;
    let (one, two) = (labels("intent", "one"), labels("intent", "two"));
    // The gate stays out of it.
    let policy = "[expert.retry]\nattempts = 5\n[expert.breaker]\nleast-calls = 1000000";
    let grid = grid_of(&[&one, &two], policy).await;
    for expert in [&one, &two] {
        expert.behave(Behaviour::fails(Status::unavailable("down")));
    }
    for _ in 0..N_REQUESTS / 20 {
        let responses = join_all((0..20).map(|_| ask(&grid))).await;
        assert!(responses.iter().all(|response| !response.complete));
    }
    let n_attempts = n_calls(&[&one, &two]);
    assert!((N_REQUESTS..=N_REQUESTS * 11 / 10).contains(&n_attempts), "{n_attempts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_silent_endpoint_is_rescued_by_another_one_in_time() {
    let (silent, well) = (labels("intent", "silent"), labels("intent", "well"));
    let grid = grid_of(&[&silent, &well], "").await;
    // From here on, what is usual is known of each of them: that takes a hundred answers.
    for _ in 0..600 {
        ask(&grid).await;
    }
    silent.behave(Behaviour::hangs());
    let before = silent.n_calls();
    let mut n_rescued = 0;
    for _ in 0..100 {
        let started = Instant::now();
        let response = ask(&grid).await;
        assert_eq!(label(&response, "intent"), "well");
        assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
        n_rescued += usize::from(outcome_of(&response, "intent").attempts == 2);
    }
    assert_eq!(n_rescued, silent.n_calls() - before);
    // It answers questions about itself, so that it is tried again and again, until its breaker has had enough.
    assert!((1..=20).contains(&n_rescued), "{n_rescued}");
    eventually("the calls that lost are cancelled", || silent.n_dropped() == n_rescued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_silent_endpoint_is_rescued_by_one_that_becomes_ready_while_it_waits() {
    let (silent, later) = (labels("intent", "silent"), labels("intent", "later"));
    silent.behave(Behaviour::hangs());
    later.set_serving(false);
    let addresses = vec![silent.address(), later.address()];
    let grid =
        Grid::start_with(&[entry("intent", &silent).versions(vec![(1, 100, addresses)])], |_| {}).await;
    grid.until(|experts| {
        let ready =
            |address| experts[0].endpoints.iter().any(|known| known.address == address && known.ready);
        ready(silent.address()) && !ready(later.address())
    })
    .await;
    let serve = async {
        eventually("the silent one is asked", || silent.n_calls() == 1).await;
        later.set_serving(true);
    };
    let (response, ()) = tokio::join!(ask(&grid), serve);
    assert_eq!((label(&response, "intent"), outcome_of(&response, "intent").attempts), ("later", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_endpoints_cost_no_request_while_another_one_is_there() {
    let (mut one, mut two) = (labels("intent", "one"), labels("intent", "two"));
    for expert in [&one, &two] {
        expert.behave(Behaviour::labels(&[("transfer", 0.9)]).after(Duration::from_millis(5)));
    }
    let grid = grid_of(&[&one, &two], "").await;
    // A tenth of these may be retries: more than can be on their way in all rounds together.
    for _ in 0..40 {
        join_all((0..8).map(|_| ask(&grid))).await;
    }
    for round in 0..4 {
        let asked = join_all((0..8).map(|_| ask(&grid)));
        let killed = async {
            let victim = if round % 2 == 0 { &mut one } else { &mut two };
            tokio::time::sleep(Duration::from_millis(2)).await;
            victim.kill();
        };
        let (responses, ()) = tokio::join!(asked, killed);
        for response in responses {
            assert_eq!(label(&response, "intent"), "transfer");
        }
        let victim = if round % 2 == 0 { &mut one } else { &mut two };
        victim.restart();
        grid.until(|experts| experts[0].endpoints.iter().all(|endpoint| endpoint.ready)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_passthrough_is_tried_again_in_the_same_way() {
    let (bad, good) = (labels("intent", "bad"), labels("intent", "good"));
    bad.behave(Behaviour::fails(Status::unavailable("going away")));
    let grid = grid_of(&[&bad, &good], "").await;
    while bad.n_calls() == 0 {
        grid.oip().model_infer(rows_for("intent", &["hi"])).await.unwrap();
    }
    good.behave(Behaviour::fails(Status::unavailable("down")));
    let refused = grid.oip().model_infer(rows_for("intent", &["hi"])).await;
    assert_status(refused, Code::Unavailable, "expert `intent`");
}
