//! One copy of a live call, on its way after the client's answer. Nobody waits for it: it is sent once, to one endpoint,
//! first in line to be shed, and teaches no breaker, no budget and no balancer anything.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_resilience::Criticality;
use nanogrid_serving::status::metadata;
use nanogrid_settings::Task;
use nanogrid_telemetry::{TraceId, propagation};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tonic::{Extensions, metadata::MetadataMap};
use tracing::{Instrument, Span, debug, info_span};

use super::{
    Watch,
    answer::{self, Row},
    subject::Subject,
};
use crate::{
    dispatch::{PREVIOUS_ATTEMPTS, ask_endpoint},
    endpoint::Endpoint,
    error::CallError,
};

/// Says that nobody waits for the answer.
const SHADOW: HeaderName = HeaderName::from_static("x-nanogrid-shadow");
const CRITICALITY: HeaderName = HeaderName::from_static(metadata::CRITICALITY);

/// A copy has this many times the time of its twin: what is slow is to be measured and not cut off.
const PATIENCE: u32 = 10;

/// Whatever the twin took: the least that a client gives who says nothing, and the most that a copy holds its place.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30);

/// A live call, as far as its copy is concerned.
#[derive(Debug)]
pub(super) struct Twin {
    /// What the client got; `None` when it got none, through the version's fault.
    pub(super) answer: Option<ModelInferResponse>,
    /// Its first try failed: a copy has no second one.
    pub(super) has_failed: bool,
    /// A second endpoint was asked because the first was slow.
    pub(super) is_hedged: bool,
    pub(super) took: Duration,
    pub(super) trace_id: Option<TraceId>,
}

/// What is asked for the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The version that is being tried.
    Canary,
    /// Another endpoint of the same version, to know how much answers differ by themselves.
    Floor,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) subject: Arc<Subject>,
    pub(super) watch: Watch,
    pub(super) asked: Asked,
    pub(super) task: Task,
    pub(super) endpoint: Arc<Endpoint>,
    /// Named as the endpoint's version.
    pub(super) message: ModelInferRequest,
    pub(super) headers: HeaderMap,
    pub(super) twin: Twin,
    pub(super) span: Span,
    pub(super) max_message: usize,
    pub(super) keep_payload: bool,
    pub(super) places: OwnedSemaphorePermit,
}

/// What became of a copy.
#[derive(Debug)]
pub(super) enum Ended {
    Answered {
        took: Duration,
        /// `Err` says why this is none.
        rows: Result<Vec<Row>, String>,
    },
    Failed,
    /// It says nothing about the version: nobody was there, or had time for it.
    Nothing,
}

impl Copy {
    pub(super) async fn run(self) {
        let Self { subject, watch, asked, task, endpoint, message, headers, twin, span, .. } = self;
        let payload = self.keep_payload.then(|| answer::payload(message.clone()));
        let request = request(message, headers, &span);
        let ended = ask(&endpoint, request, limit(twin.took), self.max_message, task).instrument(span).await;
        let rows = twin.answer.as_ref().map(|answer| answer::read(task, answer.clone()));
        match asked {
            Asked::Canary => subject.compared(watch, &twin, rows, ended, payload),
            Asked::Floor => subject.looked_at_floor(watch, rows, ended),
        }
        drop(self.places);
        subject.has_room();
    }
}

async fn ask(
    endpoint: &Endpoint,
    mut request: tonic::Request<ModelInferRequest>,
    limit: Duration,
    max_message: usize,
    task: Task,
) -> Ended {
    let started = Instant::now();
    request.set_timeout(limit);
    let asked = ask_endpoint(endpoint, limit, async |client| {
        client.max_decoding_message_size(max_message).model_infer(request).await
    });
    match asked.await {
        Ok(answer) => Ended::Answered { took: started.elapsed(), rows: answer::read(task, answer) },
        Err(error) => {
            debug!(%error, "no answer to a copy");
            if is_its_fault(&error) { Ended::Failed } else { Ended::Nothing }
        }
    }
}

/// Would the client have missed its answer through the version's fault? It has an answer from the other one.
fn is_its_fault(error: &CallError) -> bool {
    match error {
        CallError::TimedOut { .. }
        | CallError::Unreachable { .. }
        | CallError::Failed { .. }
        | CallError::Malformed { .. }
        // What one version takes, the next one must take as well.
        | CallError::Refused { .. }
        | CallError::NotMine { .. } => true,
        // A copy is the first to be refused by an expert with enough to do.
        CallError::Overloaded { .. }
        | CallError::NoEndpoint { .. }
        | CallError::NotSent { .. }
        | CallError::CircuitOpen { .. }
        | CallError::Throttled
        | CallError::Doomed { .. }
        | CallError::Cancelled => false,
    }
}

fn request(
    message: ModelInferRequest,
    mut headers: HeaderMap,
    span: &Span,
) -> tonic::Request<ModelInferRequest> {
    // The copy was never sent before, whatever its twin was.
    headers.remove(PREVIOUS_ATTEMPTS);
    headers.insert(CRITICALITY, HeaderValue::from_static(Criticality::Sheddable.as_str()));
    headers.insert(SHADOW, HeaderValue::from_static("1"));
    propagation::inject(span, &mut headers);
    tonic::Request::from_parts(MetadataMap::from_headers(headers), Extensions::default(), message)
}

fn limit(twin_took: Duration) -> Duration {
    twin_took.saturating_mul(PATIENCE).clamp(LEAST, MOST)
}

/// A trace of its own, linked to the client's, which ends before this one: it must not be held open for a copy.
pub(super) fn span(endpoint: &Endpoint, asked: Asked, live: &Span) -> Span {
    let span = info_span!(
        parent: None,
        "shadow",
        otel.kind = "client",
        rpc.system.name = "grpc",
        server.address = endpoint.identity.expert.as_str(),
        network.peer.address = &*endpoint.identity.address,
        nanogrid.expert = endpoint.identity.expert.as_str(),
        nanogrid.model.version = endpoint.identity.version,
        nanogrid.shadow = match asked { Asked::Canary => "canary", Asked::Floor => "floor" },
    );
    span.follows_from(live);
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_ten_times_the_time_within_limits() {
        let of = |millis| limit(Duration::from_millis(millis));
        assert_eq!((of(5), of(200), of(60_000)), (LEAST, Duration::from_secs(2), MOST));
        assert_eq!(limit(Duration::MAX), MOST);
    }
}
