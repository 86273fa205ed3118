//! What the router decided, what became of the calls, and every mode in which it serves less than it should.

mod admission;
mod cache;
mod dispatch;
mod endpoint;
mod fault;
mod labels;
mod rollout;
mod shadow;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Latency, LatencyFamily, Registry, latencies};
use crate::names::metric;
use crate::propagation::TraceId;

pub use admission::{AdmissionMetrics, ShedReason};
pub use cache::{CacheMetrics, CacheResult};
pub use dispatch::{AttemptKind, DispatchMetrics, FallbackKind, HedgeOutcome, RetryDenied, VersionMetrics};
use endpoint::Endpoints;
pub use endpoint::{EjectionReason, EndpointGauge};
pub use fault::FaultKind;
use labels::{
    AnswerLabels, DecisionLabels, EscalationLabels, FeedbackLabels, OutcomeLabels, ReasonLabels, StageLabels,
    VersionLabels,
};
pub use labels::{
    Answered, CallStatus, ClassifierProblem, DecidedBy, EndpointState, FeedbackKind, RouterStage, Verdict,
};
pub use rollout::{RolloutEvent, RolloutEvidence, RolloutMetrics};
pub use shadow::{ShadowMetrics, ShadowResult};

/// The router's families and their pre-resolved series. Register once per registry.
#[derive(Clone)]
pub struct RouterMetrics(Arc<Families>);

struct Families {
    // Indexed by verdict, then by who decided.
    decisions: Vec<Vec<Counter>>,
    stages: Vec<Latency>,
    answers: Vec<Counter>,
    unavailable: Vec<Counter>,
    escalations: Vec<Counter>,
    labels_ignored: Gauge,
    grid_generation: Gauge,
    reload_refused: Counter,
    outcomes: Family<OutcomeLabels, Counter>,
    calls: LatencyFamily<VersionLabels>,
    feedback: Family<FeedbackLabels, Counter>,
    endpoints: Endpoints,
    dispatch: dispatch::Families,
    admission: AdmissionMetrics,
    caches: cache::Caches,
    faults: fault::Faults,
    rollouts: RolloutMetrics,
    shadows: shadow::Shadows,
}

/// The calls to one version of one expert; cheap to clone and to hold.
#[derive(Clone, Debug)]
pub struct CallMetrics(Arc<Calls>);

#[derive(Debug)]
struct Calls {
    outcomes: Vec<Counter>,
    duration: Latency,
    feedback: Vec<Counter>,
}

impl RouterMetrics {
    /// Registers every family; what has no expert in its labels starts at 0, so that a first event shows as a step.
    pub fn new(registry: &Registry) -> Self {
        let decisions = registry.register(metric::DECISIONS, "Decisions taken", Family::default());
        let decision =
            |verdict, by| decisions.get_or_create_owned(&DecisionLabels { verdict, decided_by: by });
        let stages = registry.register_seconds(
            metric::ROUTER_STAGE_DURATION,
            "Time of requests by stage",
            latencies(),
        );
        let answers = registry.register(metric::ANSWERS, "Replies, by how much is there", Family::default());
        let unavailable = registry.register(
            metric::CLASSIFIER_UNAVAILABLE,
            "Requests the classifier could not look at",
            Family::default(),
        );
        let escalations = registry.register(
            metric::ESCALATIONS,
            "Requests that went to the bigger model, by what became of them",
            Family::default(),
        );
        Self(Arc::new(Families {
            decisions: each(Verdict::ALL, |verdict| each(DecidedBy::ALL, |by| decision(verdict, by))),
            stages: each(RouterStage::ALL, |stage| stages.get_or_create_owned(&StageLabels { stage }).into()),
            answers: each(Answered::ALL, |answered| answers.get_or_create_owned(&AnswerLabels { answered })),
            unavailable: each(ClassifierProblem::ALL, |reason| {
                unavailable.get_or_create_owned(&ReasonLabels { reason })
            }),
            escalations: each(CallStatus::ALL, |status| {
                escalations.get_or_create_owned(&EscalationLabels { status })
            }),
            labels_ignored: registry.register(
                metric::CLASSIFIER_LABELS_IGNORED,
                "Labels of the classifier that are no experts of the grid in use",
                Gauge::default(),
            ),
            grid_generation: registry.register(
                metric::GRID_GENERATION,
                "Counts the grids accepted since the start",
                Gauge::default(),
            ),
            reload_refused: registry.register(
                metric::GRID_RELOAD_REFUSED,
                "New grid files that were not valid; the grid in use stayed",
                Counter::default(),
            ),
            outcomes: registry.register(
                metric::OUTCOMES,
                "Calls to experts, by what became of them",
                Family::default(),
            ),
            calls: registry.register_seconds(metric::CALL_DURATION, "Time of calls to experts", latencies()),
            feedback: registry.register(metric::FEEDBACK, "What clients said of answers", Family::default()),
            endpoints: Endpoints::new(registry),
            dispatch: dispatch::Families::new(registry),
            admission: AdmissionMetrics::new(registry),
            caches: cache::Caches::new(registry),
            faults: fault::Faults::new(registry),
            rollouts: RolloutMetrics::new(registry),
            shadows: shadow::Shadows::new(registry),
        }))
    }

    /// A request was decided.
    pub fn decided(&self, verdict: Verdict, by: DecidedBy) {
        self.0.decisions[verdict as usize][by as usize].inc();
    }

    /// A request has passed this stage.
    pub fn passed(&self, stage: RouterStage, elapsed: Duration, trace_id: Option<TraceId>) {
        self.0.stages[stage as usize].observe(elapsed, trace_id);
    }

    /// A reply was sent.
    pub fn answered(&self, answered: Answered) {
        self.0.answers[answered as usize].inc();
    }

    /// A request needed the classifier and had to do without.
    pub fn classifier_unavailable(&self, problem: ClassifierProblem) {
        self.0.unavailable[problem as usize].inc();
    }

    /// A request that nobody suits went to the bigger model, and this became of it.
    pub fn escalated(&self, status: CallStatus) {
        self.0.escalations[status as usize].inc();
    }

    /// So many labels of the classifier are no experts of the grid that has come into use.
    pub fn classifier_labels_ignored(&self, n_labels: usize) {
        self.0.labels_ignored.set(i64::try_from(n_labels).unwrap_or(i64::MAX));
    }

    /// A grid was taken into use; generations count from 1.
    pub fn grid_accepted(&self, generation: u64) {
        self.0.grid_generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// A new grid file was not valid.
    pub fn reload_refused(&self) {
        self.0.reload_refused.inc();
    }

    /// The handle of one version of an expert. Names come from the grid file, never from requests.
    pub fn calls(&self, expert: &str, version: &str) -> CallMetrics {
        let (expert, version) = (expert.to_owned(), version.to_owned());
        let outcome = |status| {
            let labels = OutcomeLabels { expert: expert.clone(), version: version.clone(), status };
            self.0.outcomes.get_or_create_owned(&labels)
        };
        let feedback = |kind| {
            let labels = FeedbackLabels { expert: expert.clone(), version: version.clone(), kind };
            self.0.feedback.get_or_create_owned(&labels)
        };
        let labels = VersionLabels { expert: expert.clone(), version: version.clone() };
        CallMetrics(Arc::new(Calls {
            outcomes: each(CallStatus::ALL, outcome),
            duration: self.0.calls.get_or_create_owned(&labels).into(),
            feedback: each(FeedbackKind::ALL, feedback),
        }))
    }

    /// The handle of one expert, for what its calls need beside a first try.
    pub fn dispatch(&self, expert: &str) -> DispatchMetrics {
        self.0.dispatch.expert(expert)
    }

    /// The handle of one version's tries and of its circuit.
    pub fn version(&self, expert: &str, version: &str) -> VersionMetrics {
        self.0.dispatch.version(expert, version)
    }

    /// The gauge of one endpoint; it starts as connecting.
    pub fn endpoint(&self, expert: &str, version: &str, endpoint: &str) -> EndpointGauge {
        self.0.endpoints.gauge(expert, version, endpoint)
    }

    /// The handle of what the router takes on.
    pub fn admission(&self) -> AdmissionMetrics {
        self.0.admission.clone()
    }

    /// The handle of an expert's response cache.
    pub fn cache(&self, expert: &str) -> CacheMetrics {
        self.0.caches.of(expert)
    }

    /// The handle of the copies of an expert's calls.
    pub fn shadow(&self, expert: &str) -> ShadowMetrics {
        self.0.shadows.of(expert)
    }

    /// The handle of every rollout.
    pub fn rollouts(&self) -> RolloutMetrics {
        self.0.rollouts.clone()
    }

    /// A call to this expert was made slow, or failed, on purpose.
    pub fn fault_injected(&self, expert: &str, kind: FaultKind) {
        self.0.faults.injected(expert, kind);
    }
}

impl CallMetrics {
    /// A call has ended. `elapsed` is the whole call as the router saw it, tries and all.
    pub fn ended(&self, status: CallStatus, elapsed: Duration, trace_id: Option<TraceId>) {
        self.0.outcomes[status as usize].inc();
        self.0.duration.observe(elapsed, trace_id);
    }

    /// A call was never sent: it has an outcome, and no duration that would mean anything.
    pub fn not_sent(&self, status: CallStatus) {
        self.0.outcomes[status as usize].inc();
    }

    /// Calls so far, however they ended.
    pub fn n_ended(&self) -> u64 {
        self.0.outcomes.iter().map(Counter::get).sum()
    }

    /// Those among them that should have been answered, and were not.
    pub fn n_failed(&self) -> u64 {
        let has_failed = |status: &CallStatus| match status {
            CallStatus::Failed | CallStatus::TimedOut | CallStatus::Shed | CallStatus::CircuitOpen => true,
            CallStatus::Answered | CallStatus::Abstained | CallStatus::Cancelled => false,
        };
        let failed = CallStatus::ALL.iter().filter(|status| has_failed(status));
        failed.map(|status| self.0.outcomes[*status as usize].get()).sum()
    }

    /// A client said what an answer was worth.
    pub fn feedback(&self, kind: FeedbackKind) {
        self.0.feedback[kind as usize].inc();
    }
}

impl fmt::Debug for RouterMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterMetrics").finish_non_exhaustive()
    }
}

/// One series per label value, at the index of the value.
fn each<L: Copy, M>(values: &[L], series: impl Fn(L) -> M) -> Vec<M> {
    values.iter().map(|value| series(*value)).collect()
}
