//! A rollout from its start to its end. Pure: time and traffic arrive as arguments, so that every decision can be taken again from
//! its record.
//!
//! ```text
//!              .----- hold: too early, too little seen, not sure yet -----.
//!              v                                                          |
//!   start -> Running { step } --- sure that it does no harm: next step ---'--- last step ---> Promoted
//!              |   ^
//!        pause |   | resume        a gate is broken, or bad events fall on the canary
//!              v   |               too often to be chance
//!            Paused { step } ----------------------------------------------------------> RolledBack
//!                                  somebody says so ------------------------------------> Aborted
//! ```

use serde::{Deserialize, Serialize};

use crate::{
    Arms, EProcess, Plan, Tally,
    bounds::{most_harm, upper},
};

/// Where a rollout stands, and all it has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollout {
    /// Never changes.
    pub plan: Plan,
    /// Where it stands.
    pub phase: Phase,
    /// When the step began, in milliseconds since 1970.
    pub step_began_ms: u64,
    /// What was seen.
    pub evidence: Evidence,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
#[allow(missing_docs)]
pub enum Phase {
    Running {
        /// By its place in the plan.
        step: usize,
    },
    /// Keeps its weight, and still rolls back.
    Paused {
        /// By its place in the plan.
        step: usize,
    },
    Promoted,
    RolledBack,
    Aborted,
}

/// Everything that speaks for or against a canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Since the start.
    pub errors: EProcess,
    /// Since the start.
    pub slow: EProcess,
    /// Since the start.
    pub disagreement: EProcess,
    /// Since the step began.
    pub step: Seen,
}

/// What was seen in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// Bad = failed through the version's fault.
    pub errors: Arms,
    /// Bad = slow: see [`crate::Plan::slow_from`].
    pub slow: Arms,
    /// Answers of canary and stable version to the same request; bad = they differ.
    pub compared: Tally,
    /// Answers of two endpoints of the stable version to the same request; bad = they differ.
    pub floor: Tally,
}

/// What ends a rollout at once: no statistics are needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "gate", content = "detail")]
pub enum Gate {
    /// Every endpoint of the canary is ejected, or its version gate is open.
    BreakerOpen(String),
    /// Its endpoints keep going away.
    CrashLoop(String),
    /// Its endpoints are not what they should be.
    Mismatch(String),
    /// An answer that is none: not a number, or not of the expert's task.
    InvalidAnswer(String),
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Nothing.
    Hold {
        /// What is lacking, for people.
        why: String,
    },
    /// The next step, or the end.
    Advance {
        /// For people.
        why: String,
    },
    /// All traffic to the stable version.
    RollBack {
        /// For people.
        why: String,
    },
}

/// What people can do to a rollout, whatever the evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Keeps its weight, and still rolls back.
    Pause,
    /// Goes on where it was paused.
    Resume,
    /// The next step, now.
    Advance,
    /// All the traffic, now.
    Promote,
    /// None of the traffic, now.
    Abort,
}

impl Rollout {
    /// At its first step.
    ///
    /// # Errors
    /// When the plan makes no sense.
    pub fn start(plan: Plan, now_ms: u64) -> Result<Self, String> {
        plan.check()?;
        let phase = Phase::Running { step: 0 };
        let mut rollout = Self { plan, phase, step_began_ms: now_ms, evidence: Evidence::default() };
        rollout.end_if_last();
        Ok(rollout)
    }

    /// The canary's share of the live traffic in basis points.
    pub fn weight(&self) -> u32 {
        match self.phase {
            Phase::Running { step } | Phase::Paused { step } => {
                self.plan.steps.get(step).map_or(0, |step| step.weight)
            }
            Phase::Promoted => crate::ALL,
            Phase::RolledBack | Phase::Aborted => 0,
        }
    }

    /// Is there anything left to decide?
    pub fn is_over(&self) -> bool {
        match self.phase {
            Phase::Running { .. } | Phase::Paused { .. } => false,
            Phase::Promoted | Phase::RolledBack | Phase::Aborted => true,
        }
    }

    /// Decides. `others` is the evidence of other routers, of requests that this one did not see.
    pub fn verdict<'a>(
        &'a self,
        others: impl IntoIterator<Item = &'a Evidence>,
        gates: &[Gate],
        now_ms: u64,
    ) -> Verdict {
        let (step, is_paused) = match self.phase {
            Phase::Running { step } => (step, false),
            Phase::Paused { step } => (step, true),
            Phase::Promoted | Phase::RolledBack | Phase::Aborted => return hold("it is over"),
        };
        if let Some(gate) = gates.first() {
            return Verdict::RollBack { why: gate.to_string() };
        }
        let all = Total::of(&self.evidence, others);
        if let Some(why) = all.conviction(self.plan.ln_enough()) {
            return Verdict::RollBack { why };
        }
        if is_paused {
            return hold("it is paused: `nanogrid rollout resume` goes on");
        }
        let (Some(now), Some(next)) = (self.plan.steps.get(step), self.plan.steps.get(step + 1)) else {
            return hold("there is no further step");
        };
        let n_requests = all.seen.errors.canary.n;
        if n_requests < now.least_requests {
            return hold(format!(
                "the canary has had {n_requests} of the {} requests that this step needs",
                now.least_requests
            ));
        }
        let elapsed = std::time::Duration::from_millis(now_ms.saturating_sub(self.step_began_ms));
        if elapsed < now.least_time {
            return hold(format!("this step takes at least {:?}: {elapsed:.0?} so far", now.least_time));
        }
        match all.doubt(&self.plan, next.weight) {
            Some(doubt) => hold(doubt),
            None => Verdict::Advance {
                why: format!(
                    "{n_requests} requests in {elapsed:.0?}, and more harm than the margins allow at {} % is ruled out",
                    f64::from(next.weight) / 100.0
                ),
            },
        }
    }

    /// Does what was decided.
    pub fn apply(&mut self, verdict: &Verdict, now_ms: u64) {
        match (verdict, self.phase) {
            (Verdict::Advance { .. }, Phase::Running { step }) => {
                self.phase = Phase::Running { step: step + 1 };
                self.step_began_ms = now_ms;
                self.evidence.begin_step();
                self.end_if_last();
            }
            (Verdict::RollBack { .. }, Phase::Running { .. } | Phase::Paused { .. }) => {
                self.phase = Phase::RolledBack;
            }
            (Verdict::Hold { .. } | Verdict::Advance { .. } | Verdict::RollBack { .. }, _) => {}
        }
    }

    /// Does what somebody asks for. A promoted rollout can still be aborted: that is the way back.
    ///
    /// # Errors
    /// When it is in no state for it.
    pub fn change(&mut self, change: Change, now_ms: u64) -> Result<(), String> {
        self.phase = match (change, self.phase) {
            (Change::Pause, Phase::Running { step }) => Phase::Paused { step },
            (Change::Resume, Phase::Paused { step }) => Phase::Running { step },
            (Change::Advance, Phase::Running { .. }) => {
                self.apply(&Verdict::Advance { why: String::new() }, now_ms);
                self.phase
            }
            (Change::Promote, Phase::Running { .. } | Phase::Paused { .. }) => Phase::Promoted,
            (Change::Abort, Phase::Running { .. } | Phase::Paused { .. } | Phase::Promoted) => Phase::Aborted,
            (Change::Pause | Change::Resume | Change::Advance | Change::Promote | Change::Abort, phase) => {
                return Err(format!("cannot {} a rollout that is {}", change.as_str(), phase.as_str()));
            }
        };
        Ok(())
    }

    fn end_if_last(&mut self) {
        if let Phase::Running { step } = self.phase
            && step + 1 >= self.plan.steps.len()
        {
            self.phase = Phase::Promoted;
        }
    }
}

impl Phase {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled back",
            Self::Aborted => "aborted",
        }
    }
}

impl Change {
    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Advance => "advance",
            Self::Promote => "promote",
            Self::Abort => "abort",
        }
    }
}

impl Evidence {
    /// Takes in one window, in which the canary's share did not change. `allowed` is the plan's margin of disagreement.
    pub fn observe(&mut self, window: &Seen, allowed: f64) {
        self.errors.compare(&window.errors);
        self.slow.compare(&window.slow);
        // By what was known before the window: a bet is made before the event.
        self.disagreement.exceed(allowed + highest_floor(self.step.floor), window.compared);
        self.step.add(window);
    }

    /// Takes over what somebody saw who sees no more, of other requests than these.
    pub fn absorb(&mut self, other: &Self) {
        self.errors.absorb(&other.errors);
        self.slow.absorb(&other.slow);
        self.disagreement.absorb(&other.disagreement);
        self.step.add(&other.step);
    }

    /// Begins a step: what bounds the harm begins anew, since the canary may do worse with more traffic. What speaks against it is
    /// kept, and how far the stable version's own answers differ.
    pub fn begin_step(&mut self) {
        self.step = Seen { floor: self.step.floor, ..Seen::default() };
    }
}

impl Seen {
    /// Adds `other`'s events.
    pub fn add(&mut self, other: &Self) {
        self.errors.add(&other.errors);
        self.slow.add(&other.slow);
        self.compared.add(other.compared);
        self.floor.add(other.floor);
    }
}

/// How often two endpoints of the stable version may differ. Where nobody looked, the model is taken at its word: the same input
/// gives the same answer.
fn highest_floor(floor: Tally) -> f64 {
    if floor.n == 0 { 0.0 } else { upper(floor, FLOOR_ALPHA) }
}

/// The floor is only background: 1 in 20 is sure enough.
const FLOOR_ALPHA: f64 = 0.05;

/// What all routers know together.
struct Total {
    ln_errors: f64,
    ln_slow: f64,
    ln_disagreement: f64,
    seen: Seen,
}

impl Total {
    fn of<'a>(ours: &'a Evidence, others: impl IntoIterator<Item = &'a Evidence>) -> Self {
        let none = Self { ln_errors: 0.0, ln_slow: 0.0, ln_disagreement: 0.0, seen: Seen::default() };
        std::iter::once(ours).chain(others).fold(none, |mut total, evidence| {
            total.ln_errors += evidence.errors.ln_e();
            total.ln_slow += evidence.slow.ln_e();
            total.ln_disagreement += evidence.disagreement.ln_e();
            total.seen.add(&evidence.step);
            total
        })
    }

    /// Why the canary is worse.
    fn conviction(&self, enough: f64) -> Option<String> {
        let metrics = [
            ("errors", self.ln_errors),
            ("slow answers", self.ln_slow),
            ("other answers", self.ln_disagreement),
        ];
        let (name, ln_e) = metrics.into_iter().find(|(_, ln_e)| *ln_e >= enough)?;
        Some(format!(
            "{name} fall on the canary too often to be chance: evidence {:.0} to 1, {:.0} to 1 is enough",
            ln_e.min(700.0).exp(),
            enough.exp()
        ))
    }

    /// What may still be wrong with giving the canary `weight`.
    fn doubt(&self, plan: &Plan, weight: u32) -> Option<String> {
        let share = f64::from(weight) / f64::from(crate::ALL);
        let Seen { errors, slow, compared, floor } = &self.seen;
        let harms = [("errors", errors, plan.margins.errors), ("slow answers", slow, plan.margins.slow)];
        for (name, arms, margin) in harms {
            let harm = share * most_harm(arms, plan.beta);
            if harm > margin {
                return Some(format!(
                    "up to {:.2} % more {name} among all requests cannot be ruled out yet, {:.2} % are tolerated",
                    100.0 * harm,
                    100.0 * margin
                ));
            }
        }
        // Where nothing was compared (no shadow traffic), there is nothing to say about answers.
        if compared.n > 0 {
            let most = upper(*compared, plan.beta);
            let tolerated = plan.margins.disagreement + highest_floor(*floor);
            if most > tolerated {
                return Some(format!(
                    "up to {:.1} % other answers cannot be ruled out yet, {:.1} % are tolerated",
                    100.0 * most,
                    100.0 * tolerated
                ));
            }
        }
        None
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BreakerOpen(detail) => write!(f, "every endpoint of the canary is ejected: {detail}"),
            Self::CrashLoop(detail) => write!(f, "the canary keeps going away: {detail}"),
            Self::Mismatch(detail) => write!(f, "the canary is not what it should be: {detail}"),
            Self::InvalidAnswer(detail) => write!(f, "the canary gave an answer that is none: {detail}"),
        }
    }
}

fn hold(why: impl Into<String>) -> Verdict {
    Verdict::Hold { why: why.into() }
}

#[cfg(test)]
mod tests;
