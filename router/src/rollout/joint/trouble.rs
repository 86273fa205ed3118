//! Whether the API is of any use: counted every time that it is not, and told when that changes.

use tokio::time::Instant;
use tracing::{info, warn};

use super::{ClusterError, Joint, lock};

/// What the API is used for; each may work without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    Lease,
    Objects,
    Watch,
}

impl Joint {
    /// The API has answered.
    pub(super) fn heard(&self, purpose: Use) {
        if lock(&self.troubles).remove(&purpose).is_some() {
            info!(purpose = purpose.as_str(), "the Kubernetes API answers again");
            let now = Instant::now();
            self.trials().values_mut().for_each(|trial| trial.heard_again(now));
        }
    }

    /// The API is of no use: every time is counted, and the first is told.
    pub(super) fn troubled(&self, purpose: Use, error: &ClusterError) {
        self.hands.metrics.save_failed();
        if lock(&self.troubles).insert(purpose, error.to_string()).is_none() {
            warn!(purpose = purpose.as_str(), %error, "rollouts stay where they are, and nobody decides");
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.troubles).values().next().cloned()
    }
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Objects => "objects",
            Self::Watch => "watch",
        }
    }
}
