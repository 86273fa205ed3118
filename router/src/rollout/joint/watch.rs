//! What others write: taken in as it comes, and put into force unless something later is.

use std::{collections::BTreeSet, pin::pin};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;
use nanogrid_rollout::Rollout;
use nanogrid_settings::ExpertName;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Joint, object::Object, trial::Trial, trouble::Use};
use crate::rollout::state::Kept;

impl Joint {
    /// Puts into force what others write.
    pub(super) async fn watch(&self) {
        let mut events = pin!(self.cluster.watch());
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.heard(Use::Watch);
                    self.follow(event, &mut listed).await;
                }
                Err(error) => {
                    self.troubled(Use::Watch, &error.into());
                    sleep(self.settings.retry_period).await;
                }
            }
        }
    }

    async fn follow(&self, event: Event<ConfigMap>, listed: &mut BTreeSet<ExpertName>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.extend(self.read(object)),
            Event::Apply(object) => {
                self.read(object);
            }
            Event::InitDone => {
                // A list may be older than what we know.
                let unlisted: Vec<_> =
                    self.trials().keys().filter(|expert| !listed.contains(*expert)).cloned().collect();
                for expert in unlisted {
                    self.refresh(&expert).await;
                }
            }
            Event::Delete(object) => {
                if let Some(expert) = self.cluster.expert_of(&object) {
                    self.refresh(&expert).await;
                }
            }
        }
    }

    /// Looks at an object itself.
    pub(super) async fn refresh(&self, expert: &ExpertName) {
        match self.cluster.get(expert).await {
            Ok(Some(object)) => {
                self.read(object);
            }
            Ok(None) => {
                // Somebody wants no rollout of it to be known: the grid file holds.
                if self.trials().remove(expert).is_some() {
                    warn!(%expert, "its rollout was deleted");
                    self.hands.stop(expert);
                }
            }
            Err(error) => self.troubled(Use::Objects, &error),
        }
    }

    /// Takes in the state of an object, and says whose it is.
    pub(super) fn read(&self, object: ConfigMap) -> Option<ExpertName> {
        let expert = self.cluster.expert_of(&object)?;
        match Object::read(object) {
            Ok(object) => self.adopt(&expert, object),
            Err(error) => {
                self.hands.metrics.save_failed();
                warn!(%expert, %error, "its rollout stays as it was");
            }
        }
        Some(expert)
    }

    /// Puts into force what an object says, unless something later is in force.
    pub(super) fn adopt(&self, expert: &ExpertName, object: Object) {
        let now = Instant::now();
        let mut trials = self.trials();
        let known = trials.get_mut(expert);
        if known.as_ref().is_some_and(|trial| !object.is_newer_than(&trial.object)) {
            return;
        }
        let known = known.filter(|trial| trial.object.rollout().plan.id == object.rollout().plan.id);
        let Some(trial) = known else {
            let Rollout { plan, phase, .. } = object.rollout();
            info!(%expert, rollout = plan.id, phase = phase.as_str(), "rollout goes on");
            let lost_before = self.hands.begin(expert, object.rollout());
            trials.insert(expert.clone(), Trial::new(object, &self.me, lost_before, now));
            return;
        };
        let before = trial.kept().rollout.phase;
        if before != object.rollout().phase && !trial.is_over() {
            // What has happened until now belongs to what was in force until now.
            self.look(expert, trial);
        }
        let weight_before = trial.weight();
        trial.follow(object, now);
        let Kept { rollout, .. } = trial.kept();
        if rollout.phase != before {
            self.hands.steer(expert, rollout, trial.weight());
            self.hands.measure(expert, &trial.total(), trial.weight());
            if trial.weight() != weight_before || trial.is_over() {
                self.hands.tell(expert, trial.kept());
            }
        }
    }
}
