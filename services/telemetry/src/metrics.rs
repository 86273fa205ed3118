//! Metrics in OpenMetrics text, with the trace id of a recent request on every latency bucket.
//!
//! Two rules keep recording cheap and the number of series small. Whoever records holds a handle whose labels
//! were resolved once (per method, per model version, per expert), so that a request costs a few atomic
//! additions. And label values come from small fixed sets or from our own configuration, never from a request.

mod criticality;
mod expert;
mod label;
mod process;
mod router;
mod rpc;
mod triton;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::registry::{Metric, Registry as Families, Unit};

use crate::propagation::TraceId;

pub use criticality::Criticality;
pub use expert::{
    ExpertMetrics, ExpertShed, ExpertStage, FailureReason, ModelMetrics, PendingRequest, SlackAt, StageTimes,
};
pub use router::{
    AdmissionMetrics, Answered, AttemptKind, CacheMetrics, CacheResult, CallMetrics, CallStatus,
    ClassifierProblem, DecidedBy, DispatchMetrics, EjectionReason, EndpointGauge, EndpointState,
    FallbackKind, FaultKind, FeedbackKind, HedgeOutcome, RetryDenied, RolloutEvent, RolloutEvidence,
    RolloutMetrics, RouterMetrics, RouterStage, ShadowMetrics, ShadowResult, ShedReason, Verdict,
    VersionMetrics,
};
pub use rpc::{CallInFlight, MethodMetrics, Panics, RpcMetrics};

/// Every metric of this process. Clones are handles to the same one.
#[derive(Clone)]
pub struct Registry {
    families: Arc<RwLock<Families>>,
}

impl Registry {
    /// With any other type, Prometheus reads the plain text format and drops exemplars.
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Holds the metrics of the process itself (memory, start time, lost spans) from the beginning.
    pub fn new() -> Self {
        let mut families = Families::default();
        families.register_collector(Box::new(process::Process::new()));
        Self { families: Arc::new(RwLock::new(families)) }
    }

    /// All metrics as they are now, in OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &families)
            .expect("writing into a String does not fail");
        text
    }

    /// Families of one name must be registered once only, or the text holds them twice and is not valid.
    fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let mut families = self.families.write().unwrap_or_else(PoisonError::into_inner);
        families.register(name, help, metric.clone());
        metric
    }

    fn register_seconds<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let mut families = self.families.write().unwrap_or_else(PoisonError::into_inner);
        families.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// A latency histogram whose buckets remember one trace each.
#[derive(Clone, Debug)]
struct Latency(HistogramWithExemplars<Exemplar>);

type LatencyFamily<L> = prometheus_client::metrics::family::Family<L, HistogramWithExemplars<Exemplar>>;

/// A family of latency histograms, to be registered.
fn latencies<L: Clone + std::hash::Hash + Eq>() -> LatencyFamily<L> {
    LatencyFamily::new_with_constructor(|| HistogramWithExemplars::new(LATENCY_BUCKETS.into_iter()))
}

impl Latency {
    fn observe(&self, elapsed: Duration, trace_id: Option<TraceId>) {
        self.0.observe(elapsed.as_secs_f64(), trace_id.map(|trace_id| Exemplar { trace_id }), None);
    }
}

impl From<HistogramWithExemplars<Exemplar>> for Latency {
    fn from(histogram: HistogramWithExemplars<Exemplar>) -> Self {
        Self(histogram)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exemplar {
    trace_id: TraceId,
}

/// Seconds, as in gRFC A66: the OpenTelemetry advice starts at 5 ms, where most of our calls have ended.
const LATENCY_BUCKETS: [f64; 40] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_3, 0.000_6, 0.000_8, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008,
    0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4,
    0.5, 0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
];

#[cfg(test)]
mod tests;
