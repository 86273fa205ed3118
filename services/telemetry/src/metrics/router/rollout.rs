//! Where rollouts stand, and what speaks against their canaries.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::{Registry, label::label};
use crate::names::metric;

label! {
    /// What happened to a rollout.
    RolloutEvent {
        /// It began.
        Started => "started",
        /// The canary got more traffic.
        Advanced => "advanced",
        /// The canary got all the traffic.
        Promoted => "promoted",
        /// The canary was found worse.
        RolledBack => "rolled_back",
        /// Somebody ended it, or the grid did.
        Aborted => "aborted",
    }
}

label! {
    /// What evidence is about.
    RolloutEvidence {
        /// Calls that failed.
        Errors => "errors",
        /// Answers slower than the stable version's.
        Slow => "slow",
        /// Answers that are not the stable version's.
        Disagreement => "disagreement",
    }
}

/// The rollouts of a router; cheap to clone.
#[derive(Clone, Debug)]
pub struct RolloutMetrics {
    weight: Family<ExpertLabels, Gauge<f64, AtomicU64>>,
    evidence: Family<EvidenceLabels, Gauge<f64, AtomicU64>>,
    events: Family<EventLabels, Counter>,
    save_failed: Counter,
    leads: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpertLabels {
    expert: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvidenceLabels {
    expert: String,
    evidence: RolloutEvidence,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    expert: String,
    event: RolloutEvent,
}

impl RolloutMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            weight: registry.register(
                metric::ROLLOUT_WEIGHT,
                "Share of the live traffic that a canary has",
                Family::default(),
            ),
            evidence: registry.register(
                metric::ROLLOUT_EVIDENCE,
                "Evidence that a canary is worse, as a decimal logarithm",
                Family::default(),
            ),
            events: registry.register(metric::ROLLOUT_EVENTS, "What rollouts did", Family::default()),
            save_failed: registry.register(
                metric::ROLLOUT_SAVE_FAILED,
                "States of rollouts that could not be saved",
                Counter::default(),
            ),
            leads: registry.register(
                metric::ROLLOUT_LEADER,
                "Whether this router decides on rollouts that several share",
                Gauge::default(),
            ),
        }
    }

    /// The canary's share, 0 to 1.
    pub fn weight(&self, expert: &str, share: f64) {
        self.weight.get_or_create_owned(&ExpertLabels { expert: expert.to_owned() }).set(share);
    }

    /// As a decimal logarithm.
    pub fn evidence(&self, expert: &str, evidence: RolloutEvidence, log10: f64) {
        let labels = EvidenceLabels { expert: expert.to_owned(), evidence };
        self.evidence.get_or_create_owned(&labels).set(log10);
    }

    /// Something happened.
    pub fn happened(&self, expert: &str, event: RolloutEvent) {
        self.events.get_or_create_owned(&EventLabels { expert: expert.to_owned(), event }).inc();
    }

    /// The store did not take the state.
    pub fn save_failed(&self) {
        self.save_failed.inc();
    }

    /// Does this router decide?
    pub fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }
}
