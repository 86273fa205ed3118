//! What the router does to keep calls alive: tries, second tries, who is left alone, who stands in. Each is a mode in
//! which the router works harder, or answers less, than it should, so each has its counter.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::each;
use super::labels::VersionLabels;
use crate::metrics::Registry;
use crate::metrics::label::label;
use crate::names::metric;

label! {
    /// Why an endpoint was asked.
    AttemptKind {
        /// The call's first try.
        First => "first",
        /// The one before failed, or has been silent for too long.
        Retry => "retry",
        /// The one before never left.
        Transparent => "transparent",
        /// The one before takes longer than most.
        Hedge => "hedge",
    }
}

label! {
    /// Why a failed try was not followed by another one that might have helped.
    RetryDenied {
        /// The expert's retries are used up.
        Budget => "budget",
        /// All experts' together are.
        Global => "global",
        /// Most of the expert's endpoints shed.
        Shedding => "shedding",
        /// It could not have answered in time.
        NoTime => "no_time",
        /// The expert asked not to be asked again.
        Pushback => "pushback",
    }
}

label! {
    /// What became of the wish to ask a second endpoint.
    HedgeOutcome {
        /// It answered first.
        Won => "won",
        /// The first one did.
        Lost => "lost",
        /// It was not asked: no budget, no other host, a busy pool, or an open breaker.
        Denied => "denied",
    }
}

label! {
    /// Who stood in.
    FallbackKind {
        /// Another version of the expert.
        Version => "version",
        /// Another expert.
        Expert => "expert",
        /// A fixed label.
        Label => "label",
    }
}

/// The families; see [`super::RouterMetrics`].
pub(super) struct Families {
    attempts: Family<AttemptLabels, Counter>,
    circuit_open: Family<VersionLabels, Gauge>,
    circuits_opened: Family<VersionLabels, Counter>,
    denied: Family<DeniedLabels, Counter>,
    hedges: Family<HedgeLabels, Counter>,
    fallbacks: Family<FallbackLabels, Counter>,
    doomed: Family<ExpertLabels, Counter>,
    throttled: Family<ExpertLabels, Counter>,
}

/// The calls to one expert that needed more than one try, or were given none.
#[derive(Clone)]
pub struct DispatchMetrics(Arc<PerExpert>);

struct PerExpert {
    denied: Vec<Counter>,
    hedges: Vec<Counter>,
    fallbacks: Vec<Counter>,
    doomed: Counter,
    throttled: Counter,
}

/// The tries of one version, and whether its circuit is open.
#[derive(Clone)]
pub struct VersionMetrics(Arc<PerVersion>);

struct PerVersion {
    attempts: Vec<Counter>,
    circuit_open: Gauge,
    circuits_opened: Counter,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            attempts: registry.register(metric::ATTEMPTS, "Tries of calls to experts", Family::default()),
            circuit_open: registry.register(
                metric::CIRCUIT_OPEN,
                "1 while a version is not asked because most of its calls failed",
                Family::default(),
            ),
            circuits_opened: registry.register(
                metric::CIRCUITS_OPENED,
                "How often a version was left alone because most of its calls failed",
                Family::default(),
            ),
            denied: registry.register(
                metric::RETRIES_DENIED,
                "Tries that were not followed by another one, and why",
                Family::default(),
            ),
            hedges: registry.register(metric::HEDGES, "Second endpoints for slow calls", Family::default()),
            fallbacks: registry.register(
                metric::FALLBACKS,
                "Calls answered by somebody else than was asked for",
                Family::default(),
            ),
            doomed: registry.register(
                metric::DOOMED,
                "Calls not sent because they could not have been answered in time",
                Family::default(),
            ),
            throttled: registry.register(
                metric::THROTTLED,
                "Calls not sent because the expert sheds most of them",
                Family::default(),
            ),
        }
    }

    pub(super) fn expert(&self, expert: &str) -> DispatchMetrics {
        let labels = ExpertLabels { expert: expert.to_owned() };
        let denied = |reason| DeniedLabels { expert: expert.to_owned(), reason };
        let hedge = |outcome| HedgeLabels { expert: expert.to_owned(), outcome };
        let fallback = |kind| FallbackLabels { expert: expert.to_owned(), kind };
        DispatchMetrics(Arc::new(PerExpert {
            denied: each(RetryDenied::ALL, |reason| self.denied.get_or_create_owned(&denied(reason))),
            hedges: each(HedgeOutcome::ALL, |outcome| self.hedges.get_or_create_owned(&hedge(outcome))),
            fallbacks: each(FallbackKind::ALL, |kind| self.fallbacks.get_or_create_owned(&fallback(kind))),
            doomed: self.doomed.get_or_create_owned(&labels),
            throttled: self.throttled.get_or_create_owned(&labels),
        }))
    }

    pub(super) fn version(&self, expert: &str, version: &str) -> VersionMetrics {
        let labels = VersionLabels { expert: expert.to_owned(), version: version.to_owned() };
        let attempt = |kind| AttemptLabels { expert: expert.to_owned(), version: version.to_owned(), kind };
        VersionMetrics(Arc::new(PerVersion {
            attempts: each(AttemptKind::ALL, |kind| self.attempts.get_or_create_owned(&attempt(kind))),
            circuit_open: self.circuit_open.get_or_create_owned(&labels),
            circuits_opened: self.circuits_opened.get_or_create_owned(&labels),
        }))
    }
}

impl DispatchMetrics {
    /// A try failed, and no other one was made although it might have helped.
    pub fn retry_denied(&self, reason: RetryDenied) {
        self.0.denied[reason as usize].inc();
    }

    /// A second endpoint was wanted for a slow call.
    pub fn hedged(&self, outcome: HedgeOutcome) {
        self.0.hedges[outcome as usize].inc();
    }

    /// Somebody else answered.
    pub fn fell_back(&self, kind: FallbackKind) {
        self.0.fallbacks[kind as usize].inc();
    }

    /// A call was not sent: no endpoint could have answered in time.
    pub fn doomed(&self) {
        self.0.doomed.inc();
    }

    /// A call was not sent: the expert sheds most of them.
    pub fn throttled(&self) {
        self.0.throttled.inc();
    }
}

impl VersionMetrics {
    /// An endpoint is asked.
    pub fn attempted(&self, kind: AttemptKind) {
        self.0.attempts[kind as usize].inc();
    }

    /// The version is not asked any more, but for a probe now and then.
    pub fn circuit_opened(&self) {
        self.0.circuits_opened.inc();
        self.0.circuit_open.set(1);
    }

    /// It is asked again.
    pub fn circuit_closed(&self) {
        self.0.circuit_open.set(0);
    }
}

impl fmt::Debug for DispatchMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DispatchMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for VersionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionMetrics").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpertLabels {
    expert: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    expert: String,
    version: String,
    kind: AttemptKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeniedLabels {
    expert: String,
    reason: RetryDenied,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HedgeLabels {
    expert: String,
    outcome: HedgeOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FallbackLabels {
    expert: String,
    kind: FallbackKind,
}
