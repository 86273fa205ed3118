//! Whether this router decides: it stands for election, again and again, and knows for how long its last signature counts.

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Joint, lease::Election, lock, trouble::Use};

impl Joint {
    /// Stands for election, again and again.
    pub(super) async fn stand(&self) {
        let mut election = self.election();
        loop {
            let began = Instant::now();
            let before = self.signed();
            match election.stand(&self.cluster).await {
                Ok(is_mine) => {
                    self.heard(Use::Lease);
                    *lock(&self.signed) = is_mine.then_some(began);
                }
                Err(error) => self.troubled(Use::Lease, &error),
            }
            match (before, self.signed()) {
                (None, Some(_)) => info!(router = self.me, "decides on rollouts from now on"),
                (Some(_), None) => warn!(router = self.me, "decides on rollouts no more"),
                (None, None) | (Some(_), Some(_)) => {}
            }
            self.hands.metrics.leads(self.signed().is_some());
            sleep(self.settings.retry_period).await;
        }
    }

    /// When the Lease was last signed, while that counts.
    pub(super) fn signed(&self) -> Option<Instant> {
        lock(&self.signed).filter(|signed| signed.elapsed() < self.settings.renew_deadline)
    }

    pub(super) fn election(&self) -> Election {
        Election::new(self.me.clone(), &self.settings)
    }
}
