//! What an expert did, per model version: Triton's counters, and histograms of our own beside them.

mod admission;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use super::label::label;
use super::triton::TritonCounter;
use super::{Criticality, Latency, LatencyFamily, Registry, latencies};
use crate::names::metric;
use crate::propagation::TraceId;

use admission::{Admission, AdmissionFamilies};
pub use admission::{ExpertShed, SlackAt};

label! {
    /// Why a request got no answer, in Triton's words.
    FailureReason {
        /// Not taken on: the queue was full, or the request was wrong.
        Rejected => "REJECTED",
        /// The caller left, or its deadline passed.
        Canceled => "CANCELED",
        /// The model failed.
        Backend => "BACKEND",
        /// Anything else.
        Other => "OTHER",
    }
}

label! {
    /// Where an expert spends its time.
    ExpertStage {
        /// From bytes to tensors.
        Preprocess => "preprocess",
        /// Waiting for a worker.
        Queue => "queue",
        /// In the model.
        Inference => "inference",
        /// From tensors to an answer.
        Postprocess => "postprocess",
    }
}

/// How long each stage of one request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// From bytes to tensors.
    pub preprocess: Duration,
    /// Waiting for a worker.
    pub queue: Duration,
    /// In the model.
    pub inference: Duration,
    /// From tensors to an answer.
    pub postprocess: Duration,
}

/// The families; a model's handle comes from `model`. Register once per registry.
#[derive(Clone, Debug)]
pub struct ExpertMetrics {
    success: Triton<ModelLabels>,
    failure: Triton<FailureLabels>,
    rows: Triton<ModelLabels>,
    executions: Triton<ModelLabels>,
    pending: Family<ModelLabels, Gauge>,
    request_us: Triton<ModelLabels>,
    queue_us: Triton<ModelLabels>,
    input_us: Triton<ModelLabels>,
    infer_us: Triton<ModelLabels>,
    output_us: Triton<ModelLabels>,
    load_seconds: Family<ModelLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    ready: Family<ModelLabels, Gauge>,
    stages: LatencyFamily<StageLabels>,
    batch_rows: Family<ModelLabels, Histogram>,
    admission: AdmissionFamilies,
    refused: Counter,
}

/// The metrics of one version of one model; cheap to clone and to hold.
#[derive(Clone, Debug)]
pub struct ModelMetrics(Arc<Model>);

#[derive(Debug)]
struct Model {
    success: TritonCounter,
    failure: Vec<TritonCounter>,
    rows: TritonCounter,
    executions: TritonCounter,
    pending: Gauge,
    request_us: TritonCounter,
    queue_us: TritonCounter,
    input_us: TritonCounter,
    infer_us: TritonCounter,
    output_us: TritonCounter,
    load_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    ready: Gauge,
    stages: Vec<Latency>,
    batch_rows: Histogram,
    admission: Admission,
}

/// A request that was begun. Dropped without a verdict, it counts as cancelled: that is what a dropped future is.
#[derive(Debug)]
#[must_use = "a request dropped without a verdict counts as cancelled"]
pub struct PendingRequest {
    model: Arc<Model>,
    started: Instant,
    judged: bool,
}

impl ExpertMetrics {
    /// Registers every family; the series of a model appear with `model`.
    pub fn new(registry: &Registry) -> Self {
        let triton = |name, help| registry.register(name, help, Triton::default());
        Self {
            success: triton(metric::NV_REQUEST_SUCCESS, "Requests answered"),
            failure: registry.register(
                metric::NV_REQUEST_FAILURE,
                "Requests not answered",
                Family::default(),
            ),
            rows: triton(metric::NV_COUNT, "Rows inferred"),
            executions: triton(metric::NV_EXEC_COUNT, "Batches run"),
            pending: registry.register(metric::NV_PENDING, "Requests begun and not ended", Family::default()),
            request_us: triton(metric::NV_REQUEST_DURATION, "Microseconds of requests in all"),
            queue_us: triton(metric::NV_QUEUE_DURATION, "Microseconds waiting for a worker"),
            input_us: triton(metric::NV_INPUT_DURATION, "Microseconds of preprocessing"),
            infer_us: triton(metric::NV_INFER_DURATION, "Microseconds in the model"),
            output_us: triton(metric::NV_OUTPUT_DURATION, "Microseconds of postprocessing"),
            load_seconds: registry.register(
                metric::NV_LOAD_DURATION,
                "Seconds to load and warm the model",
                Family::default(),
            ),
            ready: registry.register(metric::EXPERT_READY, "1 when loaded and warm", Family::default()),
            stages: registry.register_seconds(
                metric::EXPERT_STAGE_DURATION,
                "Time of requests by stage",
                latencies(),
            ),
            batch_rows: registry.register(
                metric::BATCH_ROWS,
                "Rows per batch",
                Family::new_with_constructor(|| Histogram::new(BATCH_BUCKETS)),
            ),
            admission: AdmissionFamilies::new(registry),
            refused: registry.register(
                metric::PACKAGES_REFUSED,
                "Packages given to the process that cannot be served",
                Counter::default(),
            ),
        }
    }

    /// A package that was given to the process cannot be served.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// The handle of one version of a model. Names come from packages, never from requests.
    pub fn model(&self, name: &str, version: &str) -> ModelMetrics {
        let labels = ModelLabels { model: name.to_owned(), version: version.to_owned() };
        let failure = FailureReason::ALL.iter().map(|reason| {
            let labels =
                FailureLabels { model: name.to_owned(), version: version.to_owned(), reason: *reason };
            self.failure.get_or_create_owned(&labels)
        });
        let stages = ExpertStage::ALL.iter().map(|stage| {
            let labels = StageLabels { model: name.to_owned(), version: version.to_owned(), stage: *stage };
            self.stages.get_or_create_owned(&labels).into()
        });
        ModelMetrics(Arc::new(Model {
            success: self.success.get_or_create_owned(&labels),
            failure: failure.collect(),
            rows: self.rows.get_or_create_owned(&labels),
            executions: self.executions.get_or_create_owned(&labels),
            pending: self.pending.get_or_create_owned(&labels),
            request_us: self.request_us.get_or_create_owned(&labels),
            queue_us: self.queue_us.get_or_create_owned(&labels),
            input_us: self.input_us.get_or_create_owned(&labels),
            infer_us: self.infer_us.get_or_create_owned(&labels),
            output_us: self.output_us.get_or_create_owned(&labels),
            load_seconds: self.load_seconds.get_or_create_owned(&labels),
            ready: self.ready.get_or_create_owned(&labels),
            stages: stages.collect(),
            batch_rows: self.batch_rows.get_or_create_owned(&labels),
            admission: self.admission.model(&labels),
        }))
    }
}

impl ModelMetrics {
    /// A request for this model has arrived.
    pub fn started(&self) -> PendingRequest {
        self.0.pending.inc();
        PendingRequest { model: Arc::clone(&self.0), started: Instant::now(), judged: false }
    }

    /// A batch of so many rows was run, whether it succeeded or not.
    pub fn executed(&self, rows: usize) {
        self.0.executions.add(1);
        self.0.batch_rows.observe(rows as f64);
    }

    /// How many requests may be worked on at once, how many are, and how many wait.
    pub fn admission(&self, limit: usize, in_flight: usize, waiting: usize) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.0.admission.limit.set(number(limit));
        self.0.admission.in_flight.set(number(in_flight));
        self.0.admission.waiting.set(number(waiting));
    }

    /// A request was turned away.
    pub fn shed(&self, criticality: Criticality, reason: ExpertShed) {
        self.0.admission.shed(criticality, reason);
    }

    /// A request has so much time left.
    pub fn slack(&self, at: SlackAt, deadline: Instant) {
        let now = Instant::now();
        let (left, late) = (deadline.saturating_duration_since(now), now.saturating_duration_since(deadline));
        self.0.admission.slack(at, left, late);
    }

    /// The model was loaded and warmed up in this time.
    pub fn loaded(&self, elapsed: Duration) {
        self.0.load_seconds.set(elapsed.as_secs_f64());
    }

    /// Whether the model can be asked.
    pub fn ready(&self, ready: bool) {
        self.0.ready.set(i64::from(ready));
    }
}

impl PendingRequest {
    /// Answered, with this many rows.
    pub fn succeeded(mut self, rows: usize, times: &StageTimes, trace_id: Option<TraceId>) {
        self.judged = true;
        let model = &self.model;
        model.success.add(1);
        model.rows.add(rows as u64);
        model.request_us.add_us(self.started.elapsed());
        model.input_us.add_us(times.preprocess);
        model.queue_us.add_us(times.queue);
        model.infer_us.add_us(times.inference);
        model.output_us.add_us(times.postprocess);
        let by_stage = [
            (ExpertStage::Preprocess, times.preprocess),
            (ExpertStage::Queue, times.queue),
            (ExpertStage::Inference, times.inference),
            (ExpertStage::Postprocess, times.postprocess),
        ];
        for (stage, elapsed) in by_stage {
            model.stages[stage as usize].observe(elapsed, trace_id);
        }
    }

    /// Not answered.
    pub fn failed(mut self, reason: FailureReason) {
        self.judged = true;
        self.model.failure[reason as usize].add(1);
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.model.pending.dec();
        if !self.judged {
            self.model.failure[FailureReason::Canceled as usize].add(1);
        }
    }
}

type Triton<L> = Family<L, TritonCounter>;

/// Rows; the default limit of a batch is 32.
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
    version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    model: String,
    version: String,
    reason: FailureReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    model: String,
    version: String,
    stage: ExpertStage,
}
