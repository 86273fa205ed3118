//! What people ask for: written into the object by the router that was asked, whoever decides otherwise.

use nanogrid_rollout::{Change, Plan};
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::RolloutEvent;
use tracing::info;

use super::{
    ClusterError, Joint, TRIES,
    object::{Object, Record, changes, contents},
};
use crate::rollout::{RolloutError, now_ms, state::Kept};

impl Joint {
    pub(in crate::rollout) async fn start(
        &self,
        expert: &ExpertName,
        plan: Plan,
    ) -> Result<Kept, RolloutError> {
        let plan = |before: Option<&Kept>| self.hands.plan(expert, plan.clone(), before, now_ms());
        let kept = self.amend(expert, plan).await?;
        info!(%expert, rollout = kept.rollout.plan.id, why = kept.why, "rollout started");
        self.hands.metrics.happened(expert.as_str(), RolloutEvent::Started);
        Ok(kept)
    }

    pub(in crate::rollout) async fn change(
        &self,
        expert: &ExpertName,
        change: Change,
    ) -> Result<Kept, RolloutError> {
        self.hands.catalog.now().expert(expert.as_str())?;
        let change = |before: Option<&Kept>| {
            let mut kept = before.cloned().ok_or_else(|| RolloutError::none(expert))?;
            kept.asked(change, now_ms())?;
            Ok(kept)
        };
        self.amend(expert, change).await
    }

    /// Does what somebody asked for to whatever stands in the object now, as often as others are faster.
    async fn amend(
        &self,
        expert: &ExpertName,
        change: impl Fn(Option<&Kept>) -> Result<Kept, RolloutError>,
    ) -> Result<Kept, RolloutError> {
        let failed = |source| RolloutError::Cluster { expert: expert.clone(), source };
        for _ in 0..TRIES {
            let before = self.cluster.get(expert).await.map_err(failed)?;
            let before = before.map(Object::read).transpose().map_err(failed)?;
            let kept = change(before.as_ref().map(|object| &object.record.kept))?;
            match self.write(expert, before.as_ref(), kept).await {
                Ok(object) => {
                    self.adopt(expert, object);
                    let trials = self.trials();
                    // Another one may have come meanwhile; it is as true.
                    return trials
                        .get(expert)
                        .map(|trial| self.shown(trial))
                        .ok_or_else(|| RolloutError::none(expert));
                }
                Err(ClusterError::Conflict) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(ClusterError::Conflict))
    }

    async fn write(
        &self,
        expert: &ExpertName,
        before: Option<&Object>,
        kept: Kept,
    ) -> Result<Object, ClusterError> {
        let Some(before) = before else {
            let record = Record { leader: String::new(), kept }.write()?;
            return Object::read(self.cluster.create(expert, contents(record)).await?);
        };
        let is_another = kept.rollout.plan.id != before.rollout().plan.id;
        // Evidence of a rollout that is over is in its last decision.
        let gone = before.routers().map(|(router, _)| router).filter(|_| is_another);
        let record = Record { leader: before.record.leader.clone(), kept }.write()?;
        let changes = changes(record, gone);
        Object::read(self.cluster.change(expert, &before.resource_version, &changes).await?)
    }
}
