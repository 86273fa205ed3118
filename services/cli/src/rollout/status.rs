//! `nanogrid rollout status`: where rollouts stand, once or until they end.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use clap::Args;
use nanogrid_proto::v1::{Rollout, RolloutMetric, RolloutPhase, RolloutStep};
use serde_json::{Value, json};

use super::{picture, stamp};
use crate::{
    Global,
    client::Control,
    error::{Error, Exit},
    print,
};

/// The router decides as often.
const REDRAW_EVERY: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct Status {
    /// Only of this expert
    expert: Option<String>,
    /// Show it again every second, until Ctrl-C; of one expert until its rollout is over
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub(super) async fn run(self, control: &mut Control, global: &Global) -> Result<Exit, Error> {
        let mut stop = pin!(nanogrid_serving::shutdown_signal());
        loop {
            let rollouts = control.rollouts(self.expert.as_deref()).await?;
            if !self.watch {
                show(global, &rollouts);
                return Ok(Exit::Done);
            }
            if global.json {
                print::out(&format!("{}\n", to_json(&rollouts)));
            } else {
                let picture = picture::render(&rollouts, SystemTime::now());
                print::out(&format!("{}{picture}", print::clear_screen()));
            }
            if let Some(exit) = self.end(&rollouts) {
                return Ok(exit);
            }
            tokio::select! {
                () = tokio::time::sleep(REDRAW_EVERY) => {}
                () = &mut stop => return Ok(Exit::Done),
            }
        }
    }

    /// How it ended, when there is nothing left to watch.
    fn end(&self, rollouts: &[Rollout]) -> Option<Exit> {
        self.expert.as_ref()?;
        match rollouts.first()?.phase() {
            RolloutPhase::Unspecified | RolloutPhase::Running | RolloutPhase::Paused => None,
            RolloutPhase::Promoted => Some(Exit::Done),
            RolloutPhase::RolledBack | RolloutPhase::Aborted => Some(Exit::TakenBack),
        }
    }
}

/// Prints them as asked for.
pub(super) fn show(global: &Global, rollouts: &[Rollout]) {
    if global.json {
        print::json(&to_json(rollouts));
    } else {
        print::out(&picture::render(rollouts, SystemTime::now()));
    }
}

/// As `experts --json`: numbers are numbers, absent is null. Weights are basis points, as on the wire.
pub(super) fn to_json(rollouts: &[Rollout]) -> Value {
    json!({ "rollouts": rollouts.iter().map(rollout_json).collect::<Vec<_>>() })
}

fn rollout_json(rollout: &Rollout) -> Value {
    let Rollout { id, expert, stable, canary, step, weight, why, .. } = rollout;
    json!({
        "id": id,
        "expert": expert,
        "stable": stable,
        "canary": canary,
        "phase": print::words(rollout.phase().as_str_name(), "ROLLOUT_PHASE"),
        "steps": rollout.steps.iter().map(step_json).collect::<Vec<_>>(),
        "step": step,
        "weight": weight,
        "started": stamp(rollout.started.as_ref()),
        "step_began": stamp(rollout.step_began.as_ref()),
        "why": why,
        "metrics": rollout.metrics.iter().map(metric_json).collect::<Vec<_>>(),
    })
}

fn step_json(step: &RolloutStep) -> Value {
    let least_time = step.least_time.and_then(|time| Duration::try_from(time).ok());
    json!({
        "weight": step.weight,
        "least_time_ms": least_time.and_then(|time| u64::try_from(time.as_millis()).ok()),
        "least_requests": step.least_requests,
    })
}

fn metric_json(metric: &RolloutMetric) -> Value {
    json!({
        "name": metric.name,
        "stable_requests": metric.stable_requests,
        "stable_bad": metric.stable_bad,
        "canary_requests": metric.canary_requests,
        "canary_bad": metric.canary_bad,
        "log10_evidence": metric.log10_evidence,
        "log10_needed": metric.log10_needed,
    })
}
