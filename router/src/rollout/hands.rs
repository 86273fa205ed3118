//! A router's senses and hands in a rollout: what it sees of both versions, and what it does to their traffic. The same whoever
//! decides.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use nanogrid_rollout::{ALL, Arms, EProcess, Evidence, Gate, Phase, Plan, Rollout, Seen};
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::{RolloutEvent, RolloutEvidence, RolloutMetrics};
use tracing::{info, warn};

use super::{
    RolloutError, gates,
    state::{Event, Kept},
};
use crate::{
    catalog::{Catalog, Expert, Steering, Version},
    error::Error,
    shadow::{Shadow, Watch},
};

/// Of the stable version's answers while a canary is tried: enough to compare a few a second on a busy expert, and little
/// more work on a small box.
const SHADOW_SHARE: f64 = 0.1;

/// See the module.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) catalog: Arc<Catalog>,
    pub(super) shadow: Arc<Shadow>,
    pub(super) metrics: RolloutMetrics,
}

/// What happened since the last look.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) seen: Seen,
    pub(super) gates: Vec<Gate>,
}

/// The two versions of a rollout in the grid of this moment.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    stable: &'a Version,
    canary: &'a Version,
    slow_from: f64,
}

impl<'a> Pair<'a> {
    pub(super) fn of(expert: &'a Expert, plan: &Plan) -> Result<Self, Error> {
        let (stable, canary) = (expert.number(plan.stable)?, expert.number(plan.canary)?);
        Ok(Self { stable, canary, slow_from: plan.slow_from })
    }

    /// Connections that the canary's endpoints have lost in this process.
    pub(super) fn n_lost(&self) -> u64 {
        self.canary.endpoints.iter().map(|endpoint| endpoint.history.n_lost()).sum()
    }

    /// From where on an answer is slow, in microseconds, as far as is known now.
    pub(super) fn slow_above_us(&self) -> Option<u64> {
        let usual = self.stable.pool.latency.p95();
        usual.map(|p95| (p95.as_micros() as f64 * self.slow_from) as u64)
    }
}

impl Hands {
    /// A rollout that has not begun yet, after the expert's last one.
    pub(super) fn plan(
        &self,
        expert: &ExpertName,
        mut plan: Plan,
        before: Option<&Kept>,
        now_ms: u64,
    ) -> Result<Kept, RolloutError> {
        let grid = self.catalog.now();
        let known = grid.expert(expert.as_str())?;
        let Pair { canary, .. } = Pair::of(known, &plan)?;
        if !canary.is_ready() {
            let reason = canary.why_not_ready();
            return Err(RolloutError::State(format!("version {} is not ready: {reason}", plan.canary)));
        }
        if let Some(before) = before.filter(|before| !before.rollout.is_over()) {
            let id = &before.rollout.plan.id;
            return Err(RolloutError::State(format!(
                "`{expert}` has a rollout already, `{id}`: abort it, or wait for its end"
            )));
        }
        plan.id = format!("{expert}-{}-{now_ms}", plan.canary);
        let history = before.map_or_else(VecDeque::new, |before| before.history.clone());
        let mut kept = Kept::new(Rollout::start(plan, now_ms).map_err(RolloutError::Plan)?, history, now_ms);
        kept.weights_in_file = self.catalog.weights_in_file(expert.as_str()).unwrap_or_default();
        Ok(kept)
    }

    /// Begins to watch. Says how many connections the canary had lost before.
    pub(super) fn begin(&self, expert: &ExpertName, rollout: &Rollout) -> u64 {
        self.steer(expert, rollout, rollout.weight());
        // What was counted before is no evidence.
        self.shadow.take(expert);
        let grid = self.catalog.now();
        let pair = grid.expert(expert.as_str()).and_then(|known| Pair::of(known, &rollout.plan));
        pair.map_or(0, |pair| {
            pair.stable.pool.arm.take();
            pair.canary.pool.arm.take();
            pair.n_lost()
        })
    }

    /// What was seen since the last look. `weight` is the canary's here, `lost_before` what [`Self::begin`] said.
    pub(super) fn look(&self, expert: &ExpertName, pair: &Pair<'_>, weight: u32, lost_before: u64) -> Window {
        let copies = self.shadow.take(expert);
        let (of_stable, of_canary) = (pair.stable.pool.arm.take(), pair.canary.pool.arm.take());
        let mut seen = copies.seen;
        // While nobody gets the canary's answers, its own calls are those of clients that asked for it by name.
        if weight > 0 {
            seen.errors = Arms { stable: of_stable.errors, canary: of_canary.errors };
            seen.slow = Arms { stable: of_stable.slow, canary: of_canary.slow };
        }
        let lost = pair.n_lost().saturating_sub(lost_before);
        Window { seen, gates: gates::broken(pair.canary, of_canary.invalid + copies.invalid, lost) }
    }

    /// Sees to it that both versions' times are held against the same threshold.
    pub(super) fn time(&self, expert: &ExpertName, pair: &Pair<'_>, slow_above_us: Option<u64>) {
        let limit = slow_above_us.map(Duration::from_micros);
        pair.stable.pool.arm.slow_above(limit);
        pair.canary.pool.arm.slow_above(limit);
        self.shadow.slow_above(expert, limit);
    }

    /// Puts into force what a rollout says.
    pub(super) fn steer(&self, expert: &ExpertName, rollout: &Rollout, weight: u32) {
        let Plan { id, stable, canary, .. } = &rollout.plan;
        let steering = Steering { salt: id.clone(), stable: *stable, canary: *canary, weight };
        self.catalog.steer(expert, Some(steering));
        let is_running = !rollout.is_over();
        let watch = Watch { stable: *stable, canary: *canary, share: SHADOW_SHARE };
        self.shadow.watch(expert, is_running.then_some(watch));
    }

    /// The grid file holds.
    pub(super) fn stop(&self, expert: &ExpertName) {
        self.catalog.steer(expert, None);
        self.shadow.watch(expert, None);
    }

    /// What a rollout decided last stands until somebody writes other weights into the grid file.
    pub(super) fn give_way(&self, expert: &ExpertName, kept: &Kept) {
        let now = self.catalog.weights_in_file(expert.as_str());
        if now.is_some_and(|now| now != kept.weights_in_file) {
            self.catalog.steer(expert, None);
        }
    }

    /// For people, that something happened.
    pub(super) fn tell(&self, expert: &ExpertName, kept: &Kept) {
        let Rollout { plan, phase, .. } = &kept.rollout;
        let (rollout, why) = (&plan.id, &kept.why);
        let event = match phase {
            Phase::Running { .. } | Phase::Paused { .. } => RolloutEvent::Advanced,
            Phase::Promoted => RolloutEvent::Promoted,
            Phase::RolledBack => RolloutEvent::RolledBack,
            Phase::Aborted => RolloutEvent::Aborted,
        };
        self.metrics.happened(expert.as_str(), event);
        match phase {
            Phase::RolledBack | Phase::Aborted => {
                warn!(%expert, rollout, why, event = event.as_str(), "rollout")
            }
            Phase::Running { .. } | Phase::Paused { .. } | Phase::Promoted => {
                info!(%expert, rollout, why, event = event.as_str(), "rollout");
            }
        }
    }

    /// For graphs. `weight` is the canary's here.
    pub(super) fn measure(&self, expert: &ExpertName, evidence: &Evidence, weight: u32) {
        let expert = expert.as_str();
        let Evidence { errors, slow, disagreement, .. } = evidence;
        let log10 = |evidence: &EProcess| evidence.ln_e() / std::f64::consts::LN_10;
        self.metrics.weight(expert, f64::from(weight) / f64::from(ALL));
        self.metrics.evidence(expert, RolloutEvidence::Errors, log10(errors));
        self.metrics.evidence(expert, RolloutEvidence::Slow, log10(slow));
        self.metrics.evidence(expert, RolloutEvidence::Disagreement, log10(disagreement));
    }
}

impl Kept {
    /// Ends what cannot go on.
    pub(super) fn lose(&mut self, now_ms: u64) {
        let weight_before = self.rollout.weight();
        self.rollout.phase = Phase::Aborted;
        let why = "the grid file does not name both of its versions any more".to_owned();
        self.remember(Event::Ended, why, weight_before, now_ms);
    }

    /// Does what somebody asks for.
    pub(super) fn asked(
        &mut self,
        change: nanogrid_rollout::Change,
        now_ms: u64,
    ) -> Result<(), RolloutError> {
        let weight_before = self.rollout.weight();
        self.rollout.change(change, now_ms).map_err(RolloutError::State)?;
        let why = format!("somebody asked to {} it", change.as_str());
        self.remember(Event::Asked(change), why, weight_before, now_ms);
        Ok(())
    }
}
