//! One call to one expert: pick an endpoint, try it, look at what came back, perhaps try again.
//!
//! Everything that chooses belongs into [`Dispatch::attempts`], in this order from the outside in: deadline, retry, version
//! (already chosen by the plan), balancing, breaker, connection.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_telemetry::{
    TraceId,
    metrics::{CallMetrics, CallStatus},
    names, trace_id,
};
use tokio::time::Instant;
use tonic::{Response, transport::Channel};
use tracing::{Instrument, Span, debug, field::Empty, info_span};

use super::{
    Dispatch,
    client::{self, TimeLimit},
};
use crate::{catalog::Version, endpoint::Endpoint, error::CallError, plan::Call};

/// What became of a call, before anyone has looked into the answer.
#[derive(Debug)]
pub struct Attempted {
    /// The answer as it came.
    pub result: Result<Response<ModelInferResponse>, CallError>,
    /// Who gave it, or failed last.
    pub endpoint: Option<Arc<str>>,
    /// How often someone was asked.
    pub attempts: u32,
    /// The whole call.
    pub total: Duration,
}

impl Dispatch {
    /// Sends `message` to the expert, as it is but for the name and the version of the model.
    pub async fn forward(
        &self,
        call: &Call,
        mut message: ModelInferRequest,
        headers: &HeaderMap,
    ) -> Attempted {
        let version = call.version();
        let span = span(call);
        let ending = Ending::new(&version.calls, trace_id(&span));
        message.model_name = call.expert.name.to_string();
        message.model_version = version.number.to_string();

        let (result, endpoint, attempts) =
            self.attempts(call, &message, headers).instrument(span.clone()).await;

        let status = result.as_ref().err().map_or(CallStatus::Answered, CallError::status);
        record(&span, endpoint.as_deref(), &result);
        let total = ending.ended(status, attempts > 0);
        Attempted { result, endpoint, attempts, total }
    }

    async fn attempts(
        &self,
        call: &Call,
        message: &ModelInferRequest,
        headers: &HeaderMap,
    ) -> (Result<Response<ModelInferResponse>, CallError>, Option<Arc<str>>, u32) {
        let limit = TimeLimit::from_now(call.limit);
        let mut last: Option<Arc<Endpoint>> = None;
        let mut attempts = 0;
        loop {
            let Some((endpoint, channel)) = pick(call.version(), last.as_ref()) else {
                return (Err(CallError::nobody(call.version())), None, attempts);
            };
            attempts += 1;
            let address = &endpoint.identity.address;
            let request = client::request(message.clone(), headers, &Span::current());
            match client::infer(channel, request, address, limit, self.max_message).await {
                // Nobody has seen the request, so that trying once more costs the expert nothing.
                Err(error @ CallError::NotSent { .. }) if attempts == 1 => {
                    debug!(%error, "trying once more");
                    last = Some(endpoint);
                }
                result => return (result, Some(address.clone()), attempts),
            }
        }
    }
}

/// Any ready endpoint, but not the one that has just failed when there is another.
pub(super) fn pick(version: &Version, failed: Option<&Arc<Endpoint>>) -> Option<(Arc<Endpoint>, Channel)> {
    let usable = |endpoint: &&Arc<Endpoint>| {
        endpoint.is_ready() && failed.is_none_or(|failed| !Arc::ptr_eq(failed, endpoint))
    };
    let n_usable = version.endpoints.iter().filter(usable).count();
    let skipped = if n_usable > 1 { rand::random_range(0..n_usable) } else { 0 };
    // States change between two looks: whoever is ready in the second one is good enough.
    let chosen = version.endpoints.iter().filter(usable).skip(skipped).chain(&version.endpoints);
    chosen.filter_map(|endpoint| Some((endpoint.clone(), endpoint.channel()?))).next()
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

    fn ended(mut self, status: CallStatus, was_sent: bool) -> Duration {
        self.status = status;
        self.was_sent = was_sent;
        self.started.elapsed()
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

fn span(call: &Call) -> Span {
    info_span!(
        "call",
        otel.name = client::METHOD,
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = client::METHOD,
        rpc.status_code = Empty,
        error.type = Empty,
        server.address = call.expert.name.as_str(),
        network.peer.address = Empty,
        nanogrid.expert = call.expert.name.as_str(),
        nanogrid.model.version = call.version().number,
    )
}

fn record<T>(span: &Span, endpoint: Option<&str>, result: &Result<T, CallError>) {
    let code = result.as_ref().map_or_else(CallError::code, |_| tonic::Code::Ok);
    let code_name = names::status_code(code as i32);
    span.record(names::attribute::RPC_STATUS_CODE, code_name);
    if let Some(endpoint) = endpoint {
        span.record(names::attribute::NETWORK_PEER_ADDRESS, endpoint);
    }
    if let Err(error) = result {
        span.record(names::attribute::OTEL_STATUS_CODE, "error");
        span.record(names::attribute::ERROR_TYPE, code_name);
        debug!(parent: span, %error, "no answer");
    }
}
