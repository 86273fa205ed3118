//! What happens at this router: seen in its own time, which no silent API may delay.

use std::time::Duration;

use nanogrid_settings::ExpertName;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{Joint, trial::Trial};
use crate::rollout::hands::Pair;

impl Joint {
    /// Looks at what has happened here.
    pub(super) async fn see(&self, tick: Duration) {
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look_at_all();
        }
    }

    pub(super) fn look_at_all(&self) {
        for (expert, trial) in &mut *self.trials() {
            if trial.is_over() {
                self.hands.give_way(expert, trial.kept());
            } else {
                self.look(expert, trial);
                self.hands.measure(expert, &trial.total(), trial.weight());
            }
        }
    }

    pub(super) fn look(&self, expert: &ExpertName, trial: &mut Trial) {
        let grid = self.hands.catalog.now();
        let rollout = &trial.kept().rollout;
        // Whoever decides sees this as well.
        let Ok(pair) = grid.expert(expert.as_str()).and_then(|known| Pair::of(known, &rollout.plan)) else {
            return;
        };
        self.hands.time(expert, &pair, trial.kept().slow_above_us);
        let window = self.hands.look(expert, &pair, trial.weight(), trial.lost_before());
        let gates = window.gates.clone();
        if trial.saw(window, pair.slow_above_us()) {
            let gate = gates.first().map(ToString::to_string);
            warn!(%expert, rollout = trial.kept().rollout.plan.id, why = gate, "the canary gets nothing from this router any more");
            self.hands.steer(expert, &trial.kept().rollout, trial.weight());
            self.urgent.notify_one();
        }
    }
}
