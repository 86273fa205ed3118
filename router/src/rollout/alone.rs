//! The rollouts of a router that shares them with nobody: it decides by itself, and keeps them in a file.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nanogrid_rollout::{Change, Decision, Plan, Rollout};
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::RolloutEvent;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use super::{
    RolloutError,
    hands::{Hands, Pair},
    now_ms,
    state::{Kept, State},
    store::{Store, StoreError},
};

/// See the module.
#[derive(Debug)]
pub struct Alone {
    hands: Hands,
    store: Store,
    state: Mutex<State>,
    /// Somebody changed something: it is in force now, and saved before the next tick.
    changed: Notify,
}

impl Alone {
    /// Goes on where the store says: the weights are in force when this returns.
    pub(super) fn resume(hands: Hands, store: Store) -> Result<Self, StoreError> {
        let state = store.load()?;
        for (expert, kept) in &state.rollouts {
            let Rollout { plan, phase, .. } = &kept.rollout;
            info!(%expert, rollout = plan.id, phase = phase.as_str(), "rollout goes on");
            hands.steer(expert, &kept.rollout, kept.rollout.weight());
        }
        Ok(Self { hands, store, state: Mutex::new(state), changed: Notify::new() })
    }

    pub(super) async fn run(&self, tick: Duration) {
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

    pub(super) fn all(&self) -> State {
        self.state().clone()
    }

    pub(super) fn start(&self, expert: &ExpertName, plan: Plan) -> Result<Kept, RolloutError> {
        let mut state = self.state();
        let mut kept = self.hands.plan(expert, plan, state.rollouts.get(expert), now_ms())?;
        info!(%expert, rollout = kept.rollout.plan.id, why = kept.why, "rollout started");
        self.hands.metrics.happened(expert.as_str(), RolloutEvent::Started);
        kept.lost_before = self.hands.begin(expert, &kept.rollout);
        state.rollouts.insert(expert.clone(), kept.clone());
        self.changed.notify_one();
        Ok(kept)
    }

    pub(super) fn change(&self, expert: &ExpertName, change: Change) -> Result<Kept, RolloutError> {
        self.hands.catalog.now().expert(expert.as_str())?;
        let mut state = self.state();
        let kept = state.rollouts.get_mut(expert).ok_or_else(|| RolloutError::none(expert))?;
        let weight_before = kept.rollout.weight();
        kept.asked(change, now_ms())?;
        if kept.rollout.weight() != weight_before || kept.rollout.is_over() {
            self.hands.tell(expert, kept);
        }
        self.put_in_force(expert, kept);
        self.changed.notify_one();
        Ok(kept.clone())
    }

    /// Looks at everything once. Says whether anything was decided.
    fn tick(&self, now_ms: u64) -> bool {
        let mut has_decided = false;
        let grid = self.hands.catalog.now().clone();
        let mut state = self.state();
        for (expert, kept) in &mut state.rollouts {
            if kept.rollout.is_over() {
                self.hands.give_way(expert, kept);
                continue;
            }
            let pair = grid.expert(expert.as_str()).and_then(|known| Pair::of(known, &kept.rollout.plan));
            has_decided |= match pair {
                Ok(pair) => self.look(expert, kept, &pair, now_ms),
                Err(_gone) => {
                    kept.lose(now_ms);
                    self.hands.tell(expert, kept);
                    self.put_in_force(expert, kept);
                    true
                }
            };
        }
        has_decided
    }

    /// One rollout: what was seen since the last look, and what follows.
    fn look(&self, expert: &ExpertName, kept: &mut Kept, pair: &Pair<'_>, now_ms: u64) -> bool {
        self.time(expert, kept, pair);
        let window = self.hands.look(expert, pair, kept.rollout.weight(), kept.lost_before);
        kept.rollout.evidence.observe(&window.seen, kept.rollout.plan.margins.disagreement);
        let has_decided = kept.decided(Decision::take(&kept.rollout, Vec::new(), window.gates, now_ms));
        if has_decided {
            self.hands.tell(expert, kept);
            self.hands.steer(expert, &kept.rollout, kept.rollout.weight());
            self.time(expert, kept, pair);
        }
        self.hands.measure(expert, &kept.rollout.evidence, kept.rollout.weight());
        has_decided
    }

    /// The threshold is frozen when the step begins, or as soon as one is known.
    fn time(&self, expert: &ExpertName, kept: &mut Kept, pair: &Pair<'_>) {
        if !kept.rollout.is_over() {
            kept.slow_above_us = kept.slow_above_us.or_else(|| pair.slow_above_us());
        }
        self.hands.time(expert, pair, kept.slow_above_us);
    }

    fn put_in_force(&self, expert: &ExpertName, kept: &Kept) {
        let Kept { rollout, .. } = kept;
        self.hands.steer(expert, rollout, rollout.weight());
        self.hands.measure(expert, &rollout.evidence, rollout.weight());
    }

    /// Evidence is saved as it comes, and what was decided is also waited for. Says whether nothing is left to be saved.
    async fn save(&self, was_decided: bool) -> bool {
        // Most of the time nothing is tried: then the histories need not be copied to find that out.
        let is_over = |state: &State| state.rollouts.values().all(|kept| kept.rollout.is_over());
        if !was_decided && is_over(&self.state()) {
            return true;
        }
        let (state, store) = (self.all(), self.store.clone());
        #[expect(clippy::disallowed_methods, reason = "once a tick, for a disk that may be slow")]
        let saved = tokio::task::spawn_blocking(move || store.save(&state, was_decided)).await;
        match saved {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                self.hands.metrics.save_failed();
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
