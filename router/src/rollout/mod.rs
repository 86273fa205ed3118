//! Tries new versions of experts, step by step, and takes them back by itself when they are worse.
//!
//! Once a second every rollout looks at what became of both versions' calls since the last look, bets on it, decides, and
//! moves the weights where something was decided:
//!
//! ```text
//! arms (live calls) --.
//! shadow (copies) ----+--> window -> evidence -> verdict -> weights -> catalog
//! endpoints (gates) --'                             `-----> history -> store
//! ```
//!
//! What decides is [`nanogrid_rollout`], which is pure; here are its senses and its hands.

mod arm;
mod gates;
mod state;
mod store;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nanogrid_rollout::{ALL, Arms, Change, Decision, EProcess, Evidence, Gate, Phase, Plan, Rollout, SLOW};
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::{RolloutEvent, RolloutEvidence, RolloutMetrics};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tonic::Status;
use tracing::{info, warn};

pub use arm::{Arm, Counts};
pub use state::{Entry, Event, Kept, State};
pub use store::{Store, StoreError};

use crate::{
    catalog::{Catalog, Expert, Steering, Version},
    error::Error,
    shadow::{Disagreement, Shadow, Watch},
};

/// Of the stable version's answers while a canary is tried: enough to compare a few a second on a busy expert, and little
/// more work on a small box.
const SHADOW_SHARE: f64 = 0.1;

/// See the module.
#[derive(Debug)]
pub struct Rollouts {
    catalog: Arc<Catalog>,
    shadow: Arc<Shadow>,
    store: Store,
    state: Mutex<State>,
    /// Somebody changed something: it is in force now, and saved before the next tick.
    changed: Notify,
    metrics: RolloutMetrics,
}

/// Why a rollout does not do what somebody asked for.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// There is no such expert or version.
    #[error(transparent)]
    Unknown(#[from] Error),
    /// The plan makes no sense.
    #[error("{0}")]
    Plan(String),
    /// Not now.
    #[error("{0}")]
    State(String),
}

impl From<RolloutError> for Status {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Unknown(error) => error.into(),
            RolloutError::Plan(reason) => Self::invalid_argument(format!("rollout: {reason}")),
            RolloutError::State(reason) => Self::failed_precondition(reason),
        }
    }
}

impl Rollouts {
    /// Goes on where the store says: the weights are in force when this returns.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn resume(
        catalog: Arc<Catalog>,
        shadow: Arc<Shadow>,
        store: Store,
        metrics: RolloutMetrics,
    ) -> Result<Self, StoreError> {
        let state = store.load()?;
        let rollouts =
            Self { catalog, shadow, store, state: Mutex::new(state), changed: Notify::new(), metrics };
        for (expert, kept) in &rollouts.state().rollouts {
            let Rollout { plan, phase, .. } = &kept.rollout;
            info!(%expert, rollout = plan.id, phase = phase.as_str(), "rollout goes on");
            rollouts.steer(expert, kept);
        }
        Ok(rollouts)
    }

    /// Decides with every tick; never returns. Dropping it leaves every rollout where it is.
    pub async fn run(self: Arc<Self>, tick: Duration) {
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_unsaved = false;
        loop {
            is_unsaved |= tokio::select! {
                _ = ticks.tick() => self.tick(now_ms()),
                () = self.changed.notified() => true,
            };
            is_unsaved = !self.save(is_unsaved).await;
        }
    }

    /// Every rollout, by expert.
    pub fn all(&self) -> State {
        self.state().clone()
    }

    /// Answers of canaries that were not the stable version's, newest first.
    pub fn disagreements(&self, expert: &ExpertName, limit: usize) -> Vec<Disagreement> {
        self.shadow.disagreements(expert, limit)
    }

    /// Begins to try a version.
    ///
    /// # Errors
    /// When the grid has no such version, the plan makes no sense, or the expert has a rollout already.
    pub fn start(&self, expert: &ExpertName, mut plan: Plan) -> Result<Kept, RolloutError> {
        let grid = self.catalog.now();
        let known = grid.expert(expert.as_str())?;
        known.number(plan.stable)?;
        let canary = known.number(plan.canary)?;
        if !canary.is_ready() {
            let reason = canary.why_not_ready();
            return Err(RolloutError::State(format!("version {} is not ready: {reason}", plan.canary)));
        }
        let mut state = self.state();
        let before = state.rollouts.get(expert);
        if let Some(before) = before.filter(|before| !before.rollout.is_over()) {
            let id = &before.rollout.plan.id;
            return Err(RolloutError::State(format!(
                "`{expert}` has a rollout already, `{id}`: abort it, or wait for its end"
            )));
        }
        let now_ms = now_ms();
        plan.id = format!("{expert}-{}-{now_ms}", plan.canary);
        let history = before.map_or_else(VecDeque::new, |before| before.history.clone());
        let mut kept = Kept::new(Rollout::start(plan, now_ms).map_err(RolloutError::Plan)?, history, now_ms);
        kept.weights_in_file = self.catalog.weights_in_file(expert.as_str()).unwrap_or_default();
        kept.lost_before = n_lost(canary);
        info!(%expert, rollout = kept.rollout.plan.id, why = kept.why, "rollout started");
        self.metrics.happened(expert.as_str(), RolloutEvent::Started);
        self.steer(expert, &kept);
        // What was counted before is no evidence.
        Pair::of(known, &kept.rollout.plan)?.forget();
        self.shadow.take(expert);
        state.rollouts.insert(expert.clone(), kept.clone());
        self.changed.notify_one();
        Ok(kept)
    }

    /// Pauses, resumes, hurries, promotes or aborts.
    ///
    /// # Errors
    /// When there is no rollout, or it is in no state for it.
    pub fn change(&self, expert: &ExpertName, change: Change) -> Result<Kept, RolloutError> {
        self.catalog.now().expert(expert.as_str())?;
        let mut state = self.state();
        let Some(kept) = state.rollouts.get_mut(expert) else {
            return Err(RolloutError::State(format!("`{expert}` has no rollout: start one first")));
        };
        let (now_ms, weight_before) = (now_ms(), kept.rollout.weight());
        kept.rollout.change(change, now_ms).map_err(RolloutError::State)?;
        let why = format!("somebody asked to {} it", change.as_str());
        kept.remember(Event::Asked(change), why, weight_before, now_ms);
        if kept.rollout.weight() != weight_before || kept.rollout.is_over() {
            self.tell(expert, kept);
        }
        self.steer(expert, kept);
        self.measure(expert, &kept.rollout);
        self.changed.notify_one();
        Ok(kept.clone())
    }

    /// Looks at everything once. Says whether anything was decided.
    fn tick(&self, now_ms: u64) -> bool {
        let mut has_decided = false;
        let grid = self.catalog.now().clone();
        let mut state = self.state();
        for (expert, kept) in &mut state.rollouts {
            if kept.rollout.is_over() {
                self.give_way(expert, kept);
                continue;
            }
            let pair = grid.expert(expert.as_str()).and_then(|known| Pair::of(known, &kept.rollout.plan));
            has_decided |= match pair {
                Ok(pair) => self.look(expert, kept, &pair, now_ms),
                Err(_gone) => {
                    self.lose(expert, kept, now_ms);
                    true
                }
            };
        }
        has_decided
    }

    /// One rollout: what was seen since the last look, and what follows.
    fn look(&self, expert: &ExpertName, kept: &mut Kept, pair: &Pair<'_>, now_ms: u64) -> bool {
        self.time(expert, kept, pair);
        let copies = self.shadow.take(expert);
        let (of_stable, of_canary) = (pair.stable.pool.arm.take(), pair.canary.pool.arm.take());
        let mut seen = copies.seen;
        // While nobody gets the canary's answers, its own calls are those of clients that asked for it by name.
        if kept.rollout.weight() > 0 {
            seen.errors = Arms { stable: of_stable.errors, canary: of_canary.errors };
            seen.slow = Arms { stable: of_stable.slow, canary: of_canary.slow };
        }
        kept.rollout.evidence.observe(&seen, kept.rollout.plan.margins.disagreement);

        let lost = n_lost(pair.canary).saturating_sub(kept.lost_before);
        let gates: Vec<Gate> = gates::broken(pair.canary, of_canary.invalid + copies.invalid, lost);
        let decision = Decision::take(&kept.rollout, Vec::new(), gates, now_ms);
        let has_decided = kept.decided(decision);
        if has_decided {
            self.tell(expert, kept);
            self.steer(expert, kept);
            self.time(expert, kept, pair);
        }
        self.measure(expert, &kept.rollout);
        has_decided
    }

    /// Sees to it that both versions' times are held against the same threshold: the stable version's 95th percentile when the step
    /// began, or as soon as one is known.
    fn time(&self, expert: &ExpertName, kept: &mut Kept, pair: &Pair<'_>) {
        if kept.slow_above_us.is_none() && !kept.rollout.is_over() {
            let usual = pair.stable.pool.latency.p95();
            kept.slow_above_us = usual.map(|p95| (p95.as_micros() as f64 * SLOW) as u64);
        }
        let limit = kept.slow_above_us.map(Duration::from_micros);
        pair.stable.pool.arm.slow_above(limit);
        pair.canary.pool.arm.slow_above(limit);
        self.shadow.slow_above(expert, limit);
    }

    /// What a rollout decided last stands until somebody writes other weights into the grid file.
    fn give_way(&self, expert: &ExpertName, kept: &mut Kept) {
        let now = self.catalog.weights_in_file(expert.as_str());
        if now.is_some_and(|now| now != kept.weights_in_file) {
            self.catalog.steer(expert, None);
        }
    }

    fn lose(&self, expert: &ExpertName, kept: &mut Kept, now_ms: u64) {
        let weight_before = kept.rollout.weight();
        kept.rollout.phase = Phase::Aborted;
        let why = "the grid file does not name both of its versions any more".to_owned();
        kept.remember(Event::Ended, why, weight_before, now_ms);
        self.tell(expert, kept);
        self.steer(expert, kept);
    }

    fn tell(&self, expert: &ExpertName, kept: &Kept) {
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

    fn measure(&self, expert: &ExpertName, rollout: &Rollout) {
        let expert = expert.as_str();
        let Evidence { errors, slow, disagreement, .. } = &rollout.evidence;
        let log10 = |evidence: &EProcess| evidence.ln_e() / std::f64::consts::LN_10;
        self.metrics.weight(expert, f64::from(rollout.weight()) / f64::from(ALL));
        self.metrics.evidence(expert, RolloutEvidence::Errors, log10(errors));
        self.metrics.evidence(expert, RolloutEvidence::Slow, log10(slow));
        self.metrics.evidence(expert, RolloutEvidence::Disagreement, log10(disagreement));
    }

    /// Puts into force what a rollout says.
    fn steer(&self, expert: &ExpertName, kept: &Kept) {
        let Plan { id, stable, canary, .. } = &kept.rollout.plan;
        let steering =
            Steering { salt: id.clone(), stable: *stable, canary: *canary, weight: kept.rollout.weight() };
        self.catalog.steer(expert, Some(steering));
        let is_running = !kept.rollout.is_over();
        let watch = Watch { stable: *stable, canary: *canary, share: SHADOW_SHARE };
        self.shadow.watch(expert, is_running.then_some(watch));
    }

    /// Evidence is saved as it comes, and what was decided is also waited for. Says whether nothing is left to be saved.
    async fn save(self: &Arc<Self>, was_decided: bool) -> bool {
        // Most of the time nothing is tried: then the histories need not be copied to find that out.
        let is_over = |state: &State| state.rollouts.values().all(|kept| kept.rollout.is_over());
        if !was_decided && is_over(&self.state()) {
            return true;
        }
        let state = self.all();
        let this = self.clone();
        #[expect(clippy::disallowed_methods, reason = "once a tick, for a disk that may be slow")]
        let saved = tokio::task::spawn_blocking(move || this.store.save(&state, was_decided)).await;
        match saved {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                self.metrics.save_failed();
                warn!(%error, "rollouts are not saved: a restart would go on from an older state");
                !was_decided
            }
            // The router ends.
            Err(_) => !was_decided,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two versions of a rollout in the grid of this moment.
struct Pair<'a> {
    stable: &'a Version,
    canary: &'a Version,
}

impl<'a> Pair<'a> {
    fn of(expert: &'a Expert, plan: &Plan) -> Result<Self, Error> {
        Ok(Self { stable: expert.number(plan.stable)?, canary: expert.number(plan.canary)? })
    }

    fn forget(&self) {
        self.stable.pool.arm.take();
        self.canary.pool.arm.take();
    }
}

fn n_lost(version: &Version) -> u64 {
    version.endpoints.iter().map(|endpoint| endpoint.history.n_lost()).sum()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
