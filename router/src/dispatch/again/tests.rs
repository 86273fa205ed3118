use std::sync::Arc;

use http::HeaderMap;
use nanogrid_proto::inference::ModelInferRequest;
use nanogrid_settings::{
    Task,
    grid::{Retry, RetryOn},
};
use nanogrid_telemetry::metrics::{Registry, RouterMetrics};
use tokio::time::advance;
use tonic::Status;

use super::*;
use crate::{
    cache::Caches,
    catalog::Expert,
    dispatch::{PREVIOUS_ATTEMPTS, call},
    endpoint::{self, Endpoint, Identity},
    fault::Faults,
    shadow::Shadow,
};

const SECOND: Duration = Duration::from_secs(1);

/// An expert with `n_endpoints`, none of which is connected, and what dispatches to it.
struct Calls {
    dispatch: Dispatch,
    expert: Expert,
    headers: HeaderMap,
    message: ModelInferRequest,
}

impl Calls {
    fn new(n_endpoints: usize, retry: Retry) -> Self {
        let metrics = RouterMetrics::new(&Registry::new());
        let endpoints = endpoint::Registry::new(Default::default(), metrics.clone());
        let mut expert = Expert::of("intent", Task::TextClassification, &[(1, 10_000, None)]);
        expert.policy.retry = retry;
        expert.versions[0].endpoints = (0..n_endpoints)
            .map(|idx| {
                endpoints.get(Identity {
                    address: format!("127.0.0.{idx}:1").into(),
                    expert: expert.name.clone(),
                    version: 1,
                    task: expert.task,
                    model_sha256: None,
                })
            })
            .collect();
        let caches = Arc::new(Caches::new(metrics.clone()));
        let faults = Arc::new(Faults::new(false, 0, metrics.clone()));
        let shadow = Arc::new(Shadow::new(false, 1 << 20, metrics));
        let dispatch = Dispatch::new(1 << 20, caches, faults, shadow);
        Self { dispatch, expert, headers: HeaderMap::new(), message: Default::default() }
    }

    fn leg(&self, time: Duration) -> Leg<'_> {
        let deadline = Instant::now() + time;
        Leg::new(&self.expert, &self.expert.versions[0], deadline, &self.message, &self.headers)
    }

    fn endpoint(&self, idx: usize) -> &Endpoint {
        &self.expert.versions[0].endpoints[idx]
    }

    /// Calls begin.
    fn begin(&self, n_calls: usize) {
        for _ in 0..n_calls {
            call::for_every_call(&self.dispatch, &self.leg(SECOND));
        }
    }

    /// How many of these failures are followed by another try.
    fn n_retries(&self, n_failures: usize) -> usize {
        let mut tried = Tried::default();
        tried.push(self.endpoint(0));
        let leg = self.leg(SECOND);
        let again = |_| self.dispatch.again(&leg, &tried, &unavailable());
        (0..n_failures).filter_map(again).count()
    }
}

fn error(status: Status) -> CallError {
    CallError::of(status, &"127.0.0.1:1".into(), SECOND, false)
}

fn unavailable() -> CallError {
    error(Status::unavailable("down"))
}

fn not_sent() -> CallError {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    error(Status::from_error(Box::new(tonic::ConnectError(refused.into()))))
}

#[tokio::test(start_paused = true)]
async fn a_retry_where_it_was_tried_before_waits_a_little_and_longer_each_time() {
    let calls = Calls::new(1, Retry { attempts: 5, ..Retry::default() });
    let leg = calls.leg(SECOND);
    let mut tried = Tried::default();
    for longest in [10, 20, 40, 80] {
        tried.push(calls.endpoint(0));
        let next = calls.dispatch.again(&leg, &tried, &unavailable()).expect("another try");
        assert_eq!((next.kind, next.only_elsewhere), (AttemptKind::Retry, false));
        assert!(next.wait < Duration::from_millis(longest), "{next:?}");
    }
    tried.push(calls.endpoint(0));
    assert_eq!(calls.dispatch.again(&leg, &tried, &unavailable()), None, "five tries, and no sixth");
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_sent_again_without_a_budget_once_per_endpoint_and_once_more() {
    let calls = Calls::new(2, Retry { attempts: 1, budget: 0.0, ..Retry::default() });
    let leg = calls.leg(SECOND);
    let mut tried = Tried::default();
    for (idx, is_left) in [(0, true), (1, true), (0, false)] {
        tried.push(calls.endpoint(idx));
        tried.was_unsent();
        let next = calls.dispatch.again(&leg, &tried, &not_sent());
        let expected = Next { kind: AttemptKind::Transparent, wait: Duration::ZERO, only_elsewhere: false };
        assert_eq!(next, is_left.then_some(expected));
    }
    assert_eq!(tried.n_counted(), 0, "none of them was a try");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_when_it_would_be_late() {
    let calls = Calls::new(1, Retry::default());
    for _ in 0..100 {
        calls.expert.versions[0].pool.latency.record(Duration::from_millis(20));
    }
    let mut tried = Tried::default();
    tried.push(calls.endpoint(0));
    let leg = calls.leg(Duration::from_millis(19));
    assert_eq!(calls.dispatch.again(&leg, &tried, &unavailable()), None);
    let mut shed = Status::resource_exhausted("full");
    shed.metadata_mut().insert("grpc-retry-pushback-ms", "990".parse().unwrap());
    assert_eq!(calls.dispatch.again(&calls.leg(SECOND), &tried, &error(shed)), None);
    advance(Duration::from_millis(20)).await;
    let mut sent = Tried::default();
    sent.was_unsent();
    sent.push(calls.endpoint(0));
    assert_eq!(calls.dispatch.again(&leg, &sent, &not_sent()), None, "not even what costs nothing");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_may_be_tried_elsewhere_only_is_not_tried_where_nobody_else_is() {
    let calls = Calls::new(1, Retry { also_on: vec![RetryOn::Internal], ..Retry::default() });
    let mut tried = Tried::default();
    tried.push(calls.endpoint(0));
    for status in [Status::internal(""), Status::aborted(""), Status::invalid_argument("")] {
        assert_eq!(calls.dispatch.again(&calls.leg(SECOND), &tried, &error(status)), None);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_share_of_the_calls_and_half_of_it_for_who_retries_itself() {
    let mut calls = Calls::new(1, Retry::default());
    calls.begin(1_000);
    calls.headers.insert(PREVIOUS_ATTEMPTS, 1.into());
    assert_eq!(calls.n_retries(1_000), 50);
    calls.headers.clear();
    assert_eq!(calls.n_retries(1_000), 50, "the other half of 100");
    advance(Duration::from_secs(11)).await;
    assert_eq!(calls.n_retries(1_000), 10, "and a few when nothing is going on");
}

#[tokio::test(start_paused = true)]
async fn all_experts_together_have_a_budget_as_well() {
    let calls = Calls::new(1, Retry { budget: 1.0, ..Retry::default() });
    calls.begin(1_000);
    assert_eq!(calls.n_retries(1_000), 100);
}
