//! From values to messages.

use std::time::Duration;

use nanogrid_proto::v1;
use nanogrid_telemetry::metrics::{CallStatus, DecidedBy, EndpointState, Verdict};

use crate::{
    catalog,
    dispatch::{Outcome, Reply, StageTimes, Stand, StoodIn, Trail, Typed},
    endpoint::Endpoint,
    error::CallError,
    merge::{Answer, Missing},
    plan::{Call, Candidate, Decision},
};

/// Where the router spent its time.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ingress) struct Times {
    pub(in crate::ingress) classify: Duration,
    pub(in crate::ingress) plan: Duration,
    pub(in crate::ingress) dispatch: Duration,
    pub(in crate::ingress) merge: Duration,
    pub(in crate::ingress) total: Duration,
}

/// The reply to `Infer`.
pub(in crate::ingress) fn reply(
    id: String,
    decided: Decision,
    answer: Answer,
    times: Times,
    trace_id: String,
) -> v1::InferResponse {
    v1::InferResponse {
        id,
        decision: Some(decision(decided)),
        complete: answer.is_complete(),
        outcomes: answer.outcomes.into_iter().map(outcome).collect(),
        missing: answer.missing.into_iter().map(missing).collect(),
        times: Some(router_times(times)),
        trace_id,
    }
}

/// The reply to `Route`.
pub(in crate::ingress) fn route_reply(decided: Decision, calls: &[Call], times: Times) -> v1::RouteResponse {
    v1::RouteResponse {
        decision: Some(decision(decided)),
        calls: calls.iter().map(planned_call).collect(),
        times: Some(router_times(times)),
    }
}

fn planned_call(call: &Call) -> v1::PlannedCall {
    let ready = call.version().endpoints.iter().filter(|endpoint| endpoint.is_ready());
    v1::PlannedCall {
        expert: call.expert.name.to_string(),
        version: call.version().name(),
        time_limit: duration(call.limit),
        endpoints: ready.map(|endpoint| endpoint.identity.address.to_string()).collect(),
    }
}

fn decision(decision: Decision) -> v1::Decision {
    let verdict = match decision.verdict {
        Verdict::Single => v1::Verdict::Single,
        Verdict::FanOut => v1::Verdict::FanOut,
        Verdict::Abstain => v1::Verdict::Abstain,
        Verdict::Escalate => v1::Verdict::Escalate,
        Verdict::Unavailable => v1::Verdict::Unavailable,
    };
    let decided_by = match decision.decided_by {
        DecidedBy::Classifier => v1::DecidedBy::Classifier,
        DecidedBy::Client => v1::DecidedBy::Client,
        DecidedBy::Modality => v1::DecidedBy::Modality,
    };
    v1::Decision {
        verdict: verdict.into(),
        decided_by: decided_by.into(),
        candidates: decision.candidates.into_iter().map(candidate).collect(),
        why: decision.why,
        classifier_version: decision
            .classified
            .map_or_else(String::new, |classified| classified.version.to_string()),
        out_of_scope: decision.classified.map(|classified| classified.out_of_scope),
        alpha: decision.classified.and_then(|classified| classified.alpha),
    }
}

fn candidate(candidate: Candidate) -> v1::Candidate {
    let Candidate { expert, confidence, why } = candidate;
    v1::Candidate { expert: expert.to_string(), confidence, chosen: why.is_chosen(), why: why.to_string() }
}

fn outcome(outcome: Outcome) -> v1::Outcome {
    let status = call_status(outcome.status()).into();
    let Outcome { call, result, trail } = outcome;
    let Trail { version, endpoint, attempts, is_hedged, is_cached, fallback, total } = trail;
    let (answer, confidence, stages, error) = match result {
        Ok(Reply { answer, confidence, times }) => (answer.map(typed), confidence, times, None),
        Err(error) => (None, 0.0, StageTimes::default(), Some(error_message(&error))),
    };
    v1::Outcome {
        expert: call.expert.name.to_string(),
        version: version.map_or_else(String::new, |version| version.to_string()),
        task: call.expert.task.to_string(),
        status,
        confidence,
        result: answer,
        times: Some(v1::ExpertTimes {
            preprocess: stages.preprocess.and_then(duration),
            queue: stages.queue.and_then(duration),
            inference: stages.inference.and_then(duration),
            postprocess: stages.postprocess.and_then(duration),
            total: duration(total),
        }),
        error,
        endpoint: endpoint.as_deref().unwrap_or_default().to_owned(),
        attempts,
        fallback: fallback.map(stood_in),
        cached: is_cached,
        hedged: is_hedged,
    }
}

fn stood_in(StoodIn { by, why }: StoodIn) -> v1::Fallback {
    let by = match by {
        Stand::Version(number) => v1::fallback::By::Version(number.to_string()),
        Stand::Expert(name) => v1::fallback::By::Expert(name),
        Stand::Label(label) => v1::fallback::By::Label(label),
    };
    v1::Fallback { by: Some(by), why }
}

fn error_message(error: &CallError) -> v1::Error {
    v1::Error { code: error.code() as i32, message: error.to_string() }
}

fn missing(missing: Missing) -> v1::Missing {
    let Missing { expert, status, cause, retryable } = missing;
    v1::Missing { expert: expert.to_string(), status: call_status(status).into(), cause, retryable }
}

fn call_status(status: CallStatus) -> v1::OutcomeStatus {
    match status {
        CallStatus::Answered => v1::OutcomeStatus::Answered,
        CallStatus::Failed => v1::OutcomeStatus::Failed,
        CallStatus::TimedOut => v1::OutcomeStatus::TimedOut,
        CallStatus::Shed => v1::OutcomeStatus::Shed,
        CallStatus::CircuitOpen => v1::OutcomeStatus::CircuitOpen,
        CallStatus::Abstained => v1::OutcomeStatus::Abstained,
        CallStatus::Cancelled => v1::OutcomeStatus::Cancelled,
    }
}

fn typed(answer: Typed) -> v1::outcome::Result {
    use v1::outcome::Result as Message;
    match answer {
        Typed::Labels(found) => Message::Labels(v1::Labels { labels: labels(found) }),
        Typed::Spans { spans, labels: found } => {
            let spans = spans.into_iter().map(|span| v1::Span {
                entity: span.entity,
                start: span.start,
                end: span.end,
                score: span.score,
                text: span.text,
            });
            Message::Spans(v1::Spans { spans: spans.collect(), labels: labels(found) })
        }
        Typed::Text { text, score } => Message::Text(v1::Text { text, score }),
        Typed::Audio(wav) => Message::Audio(v1::Audio { wav }),
        Typed::Vector(values) => Message::Vector(v1::Vector { values }),
        Typed::Scores(values) => Message::Scores(v1::Scores { values }),
    }
}

fn labels(found: Vec<(String, f32)>) -> Vec<v1::Label> {
    found.into_iter().map(|(label, score)| v1::Label { label, score }).collect()
}

/// An expert for the list of experts.
pub(in crate::ingress) fn expert(expert: &catalog::Expert) -> v1::Expert {
    v1::Expert {
        name: expert.name.to_string(),
        task: expert.task.to_string(),
        title: expert.title.clone(),
        versions: expert.versions.iter().map(version).collect(),
        endpoints: expert.endpoints().map(|known| endpoint(known)).collect(),
        ready: expert.is_ready(),
    }
}

fn version(version: &catalog::Version) -> v1::Version {
    let digests = version.endpoints.iter().map(|endpoint| endpoint.facts().model_sha256.clone());
    v1::Version {
        version: version.name(),
        weight: version.weight,
        label: version.label.map_or_else(String::new, |label| label.to_string()),
        model_sha256: digests.into_iter().find(|digest| !digest.is_empty()).unwrap_or_default(),
        calls: version.calls.n_ended(),
        failed: version.calls.n_failed(),
    }
}

fn endpoint(endpoint: &Endpoint) -> v1::Endpoint {
    let (state, facts) = (endpoint.kind(), endpoint.facts());
    let kind = match state {
        EndpointState::Connecting => v1::EndpointState::Connecting,
        EndpointState::Ready => v1::EndpointState::Ready,
        EndpointState::NotServing => v1::EndpointState::NotServing,
        EndpointState::Refused => v1::EndpointState::Refused,
        EndpointState::Ejected => v1::EndpointState::Ejected,
        EndpointState::Draining => v1::EndpointState::Draining,
    };
    v1::Endpoint {
        address: endpoint.identity.address.to_string(),
        version: endpoint.identity.version.to_string(),
        state: kind.into(),
        ready: state == EndpointState::Ready,
        pid: if endpoint.is_local() { facts.pid } else { 0 },
        memory: facts.memory,
        reason: endpoint.reason(),
    }
}

fn router_times(times: Times) -> v1::RouterTimes {
    v1::RouterTimes {
        classify: duration(times.classify),
        plan: duration(times.plan),
        dispatch: duration(times.dispatch),
        merge: duration(times.merge),
        total: duration(times.total),
    }
}

/// `None` only for more than 292 billion years.
fn duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}
