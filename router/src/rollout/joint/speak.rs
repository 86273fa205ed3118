//! What this router tells the others: what it has seen, and where it is for this router to decide, what follows.

use std::time::Duration;

use nanogrid_settings::ExpertName;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    ClusterError, Joint, TRIES,
    object::{changes, key_of},
    trial::{Circumstances, Proposal},
    trouble::Use,
};
use crate::rollout::{hands::Pair, now_ms};

impl Joint {
    /// Tells others what was seen, and decides where that is for this router to do. Apart from seeing, which no silent API may delay.
    pub(super) async fn speak(&self, tick: Duration) {
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.urgent.notified() => {}
            }
            self.publish(self.settings.retry_period).await;
            self.decide().await;
        }
    }

    pub(super) async fn publish(&self, pause: Duration) {
        let now = Instant::now();
        let due: Vec<_> = {
            let mut trials = self.trials();
            let due =
                trials.iter_mut().map(|(expert, trial)| (expert.clone(), trial.publication(pause, now)));
            due.filter_map(|(expert, publication)| Some((expert, publication?))).collect()
        };
        let key = key_of(&self.me);
        for (expert, publication) in due {
            let set = self.cluster.set(&expert, &key, publication.before.as_deref(), &publication.text).await;
            match set {
                Ok(object) => {
                    if let Some(trial) = self.trials().get_mut(&expert) {
                        trial.published(&publication, now);
                    }
                    self.heard(Use::Objects);
                    self.read(object);
                }
                Err(error) => self.not_written(&expert, &error).await,
            }
        }
    }

    async fn decide(&self) {
        let experts: Vec<ExpertName> = self.trials().keys().cloned().collect();
        for expert in experts {
            for _ in 0..TRIES {
                let Some(signed) = self.signed() else { return };
                let Some(mut proposal) = self.propose(&expert, signed) else { break };
                let Ok(record) = proposal.record.write() else { break };
                let changes = changes(record, proposal.gone.iter().map(String::as_str));
                match self.cluster.change(&expert, &proposal.resource_version, &changes).await {
                    Ok(object) => {
                        self.heard(Use::Objects);
                        self.read(object);
                        break;
                    }
                    Err(error @ ClusterError::Conflict) => self.not_written(&expert, &error).await,
                    Err(error) => {
                        self.not_written(&expert, &error).await;
                        break;
                    }
                }
            }
        }
    }

    fn propose(&self, expert: &ExpertName, signed: Instant) -> Option<Proposal> {
        let grid = self.hands.catalog.now();
        let trials = self.trials();
        let trial = trials.get(expert)?;
        let pair = grid.expert(expert.as_str()).and_then(|known| Pair::of(known, &trial.kept().rollout.plan));
        trial.propose(Circumstances {
            is_in_grid: pair.is_ok(),
            signed,
            patience: self.settings.lease_duration,
            now: Instant::now(),
            now_ms: now_ms(),
        })
    }

    async fn not_written(&self, expert: &ExpertName, error: &ClusterError) {
        match error {
            // The object is not as we knew it.
            ClusterError::Conflict | ClusterError::Gone(_) => self.refresh(expert).await,
            ClusterError::Unknown(_)
            | ClusterError::Silent(_)
            | ClusterError::Unreachable(_)
            | ClusterError::Refused(_)
            | ClusterError::Broken { .. } => self.troubled(Use::Objects, error),
        }
    }
}
