//! Faults that operators and tests inject: never to be taken for real ones.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::{Registry, label::label};
use crate::names::metric;

label! {
    /// What was done to a call on purpose.
    FaultKind {
        /// It was held up.
        Delay => "delay",
        /// It failed instead of being sent.
        Error => "error",
        /// It was never answered.
        Drop => "drop",
    }
}

#[derive(Clone, Debug)]
pub(super) struct Faults(Family<FaultLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    expert: String,
    kind: FaultKind,
}

impl Faults {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.register(
            metric::FAULTS_INJECTED,
            "Calls to experts that were made slow or failed on purpose",
            Family::default(),
        ))
    }

    pub(super) fn injected(&self, expert: &str, kind: FaultKind) {
        self.0.get_or_create_owned(&FaultLabels { expert: expert.to_owned(), kind }).inc();
    }
}
