//! One call to one version of one expert. Is it worth sending at all? Then its tries, and what came of them is told to
//! everyone who learns from calls rather than from tries.
//!
//! In this order from the outside in: deadline, throttle, gate of the version, and then retries, balancing, breaker and
//! connection for each try.

use std::time::Duration;

use http::HeaderMap;
use nanogrid_proto::inference::ModelInferRequest;
use nanogrid_resilience::{Criticality, Transition, Verdict};
use nanogrid_telemetry::{
    TraceId,
    metrics::{CallMetrics, CallStatus},
    names, trace_id,
};
use tokio::time::Instant;
use tonic::Response;
use tracing::{Instrument, Span, debug, field::Empty, info, info_span, warn};

use super::{
    Dispatch, attempt,
    attempts::Asked,
    client::{self, TimeLimit},
};
use crate::{
    admission,
    catalog::{Expert, Version},
    error::CallError,
    shadow::Live,
};

/// A part of the way of a call: to the version that was planned, or to one that stands in.
#[derive(Debug)]
pub(super) struct Leg<'a> {
    pub(super) expert: &'a Expert,
    pub(super) version: &'a Version,
    pub(super) headers: &'a HeaderMap,
    pub(super) limit: TimeLimit,
    /// Whoever called us is retrying already.
    pub(super) is_a_retry: bool,
    /// Somebody else answers when this version cannot.
    has_substitute: bool,
    message: &'a ModelInferRequest,
}

impl<'a> Leg<'a> {
    /// Within the expert's own limit, and before `deadline`.
    pub(super) fn new(
        expert: &'a Expert,
        version: &'a Version,
        deadline: Instant,
        message: &'a ModelInferRequest,
        headers: &'a HeaderMap,
    ) -> Self {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let whole = expert.timeout.map_or(left, |timeout| timeout.min(left));
        let limit = TimeLimit { whole, deadline: now + whole };
        let is_a_retry = headers.get(client::PREVIOUS_ATTEMPTS).is_some_and(|n| n.as_bytes() != b"0");
        Self { expert, version, headers, limit, is_a_retry, has_substitute: false, message }
    }

    /// Says whether somebody else answers when this version cannot.
    pub(super) fn with_substitute(self, has_substitute: bool) -> Self {
        Self { has_substitute, ..self }
    }

    /// As it is sent: the client's, but for the name and the version of the model.
    pub(super) fn message(&self) -> ModelInferRequest {
        client::addressed(self.message, &self.expert.name, self.version.number)
    }

    fn criticality(&self) -> Criticality {
        admission::told(self.headers).unwrap_or_default()
    }
}

impl Dispatch {
    pub(super) async fn call<'a>(&self, leg: &'a Leg<'a>) -> Asked {
        let span = span(leg);
        let ending = Ending::new(&leg.version.calls, trace_id(&span));
        let asked = self.guarded(leg).instrument(span.clone()).await;
        let took = ending.started.elapsed();
        count(leg.version, &asked, took);
        span.in_scope(|| self.shadow.tap(&live(leg, &asked, took)));
        let status = asked.answer.as_ref().err().map_or(CallStatus::Answered, CallError::status);
        record(&span, &asked);
        ending.ended(status, asked.n_attempts > 0);
        asked
    }

    async fn guarded<'a>(&self, leg: &'a Leg<'a>) -> Asked {
        let (allowance, pool) = (&leg.expert.allowance, &leg.version.pool);
        let left = leg.limit.left();
        if let Some(usual) = pool.latency.p10().filter(|usual| left < *usual) {
            allowance.metrics.doomed();
            return not_sent(CallError::Doomed { left, usual });
        }
        let throttle = allowance.throttle(leg.criticality());
        if !throttle.admit(&mut rand::rng()) {
            allowance.metrics.throttled();
            return not_sent(CallError::Throttled);
        }
        let Some(permit) = pool.gate.admit() else {
            return not_sent(CallError::CircuitOpen { version: leg.version.number });
        };
        for_every_call(self, leg);

        let asked = self.attempts(leg).await;

        let error = asked.answer.as_ref().err();
        throttle.record(!error.is_some_and(|error| matches!(error, CallError::Overloaded { .. })));
        if let Some(transition) = permit.record(&leg.expert.gate, verdict(leg, left, error)) {
            gate_changed(leg, transition);
        }
        asked
    }
}

/// For whoever compares the version with another one.
fn count(version: &Version, asked: &Asked, took: Duration) {
    match &asked.answer {
        // A retry has saved the client, and not the version: with all the traffic there is no budget to save everybody.
        _ if asked.has_failed => version.pool.arm.failed(),
        Ok(_) => version.pool.arm.answered(took),
        Err(error) if error.is_the_versions_failure() => version.pool.arm.failed(),
        Err(_) => {}
    }
}

fn live<'a>(leg: &Leg<'a>, asked: &'a Asked, took: Duration) -> Live<'a> {
    Live {
        expert: leg.expert,
        version: leg.version,
        message: leg.message,
        headers: leg.headers,
        answer: asked.answer.as_ref().map(Response::get_ref),
        endpoint: asked.endpoint.as_deref(),
        n_attempts: asked.n_attempts,
        is_hedged: asked.is_hedged,
        took,
    }
}

/// What the call says about its version.
fn verdict(leg: &Leg<'_>, given: Duration, error: Option<&CallError>) -> Verdict {
    let Some(error) = error else { return Verdict::Success };
    let is_ample = leg.version.pool.latency.p99().is_some_and(|p99| given >= 2 * p99);
    match error.verdict(is_ample) {
        // Too much to do is no reason to do nothing. Nor is being late for most, where nobody else would be in time.
        Verdict::Shed => Verdict::Neutral,
        Verdict::Failure if !leg.has_substitute && matches!(error, CallError::TimedOut { .. }) => {
            Verdict::Neutral
        }
        verdict @ (Verdict::Success | Verdict::Failure | Verdict::Neutral) => verdict,
    }
}

/// Of which retries and hedges are a share.
pub(super) fn for_every_call(dispatch: &Dispatch, leg: &Leg<'_>) {
    dispatch.budget.deposit();
    leg.expert.allowance.retries.deposit();
    leg.expert.allowance.hedges.deposit();
}

fn gate_changed(leg: &Leg<'_>, transition: Transition) {
    let (expert, version) = (&leg.expert.name, leg.version.number);
    match transition {
        Transition::Opened { rest, .. } => {
            leg.version.tries.circuit_opened();
            warn!(%expert, version, ?rest, "most calls fail: the version is left alone");
        }
        Transition::Closed => {
            leg.version.tries.circuit_closed();
            info!(%expert, version, "calls succeed: the version is asked again");
        }
    }
}

fn not_sent(error: CallError) -> Asked {
    Asked { answer: Err(error), endpoint: None, n_attempts: 0, is_hedged: false, has_failed: false }
}

/// Counts the call however it ends: a dropped future counts as cancelled.
struct Ending<'a> {
    metrics: &'a CallMetrics,
    trace_id: Option<TraceId>,
    started: Instant,
    status: CallStatus,
    was_sent: bool,
}

impl<'a> Ending<'a> {
    fn new(metrics: &'a CallMetrics, trace_id: Option<TraceId>) -> Self {
        Self { metrics, trace_id, started: Instant::now(), status: CallStatus::Cancelled, was_sent: true }
    }

    fn ended(mut self, status: CallStatus, was_sent: bool) {
        self.status = status;
        self.was_sent = was_sent;
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.was_sent {
            self.metrics.ended(self.status, self.started.elapsed(), self.trace_id);
        } else {
            self.metrics.not_sent(self.status);
        }
    }
}

fn span(leg: &Leg<'_>) -> Span {
    info_span!(
        "call",
        otel.name = client::METHOD,
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = client::METHOD,
        rpc.status_code = Empty,
        error.type = Empty,
        server.address = leg.expert.name.as_str(),
        network.peer.address = Empty,
        nanogrid.expert = leg.expert.name.as_str(),
        nanogrid.model.version = leg.version.number,
        nanogrid.attempts = Empty,
    )
}

fn record(span: &Span, Asked { answer, endpoint, n_attempts, .. }: &Asked) {
    attempt::record(span, answer);
    span.record("nanogrid.attempts", n_attempts);
    if let Some(endpoint) = endpoint {
        span.record(names::attribute::NETWORK_PEER_ADDRESS, &**endpoint);
    }
    if let Err(error) = answer {
        debug!(parent: span, %error, "no answer");
    }
}
