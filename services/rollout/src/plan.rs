//! What a rollout is to do: decided once, when it starts, and part of its record.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ALL;

/// A version on its way to everybody, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// Salts the split, so that it is not the same users who are always first.
    pub id: String,
    /// Whose version.
    pub expert: String,
    /// What everybody had before.
    pub stable: u32,
    /// What is being tried.
    pub canary: u32,
    /// In order; the weights rise.
    pub steps: Vec<Step>,
    /// The highest probability that a canary as good as the stable version is rolled back, over the whole rollout.
    pub alpha: f64,
    /// The highest probability, per step, that a canary is promoted whose true harm is above the margins.
    pub beta: f64,
    /// What is tolerated.
    pub margins: Margins,
    /// An answer is slow when it takes longer than so many times the stable version's 95th percentile. A larger model may be meant
    /// to take longer; what it must not be is slower than that.
    #[serde(default = "usual_slow_from")]
    pub slow_from: f64,
}

/// One share of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// Basis points of the live traffic; 0 = shadow: the canary gets copies, and nobody gets its answers.
    pub weight: u32,
    /// It takes at least so long,
    #[serde(with = "humantime_serde")]
    pub least_time: Duration,
    /// and so many of the canary's requests, before anything is concluded from their silence.
    pub least_requests: u64,
}

/// Harm that is tolerated, each as a share of **all** requests if the canary had the next step's share: a canary that may hurt only
/// one in twenty need not be known as well as one that may hurt everybody.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Margins {
    /// More errors than with the stable version.
    pub errors: f64,
    /// More slow answers: see [`Plan::slow_from`].
    pub slow: f64,
    /// Answers that differ from the stable version's, as a share of the answers compared, beyond what two endpoints of the stable version
    /// differ among themselves. Not scaled: a new model is meant to differ in some answers.
    pub disagreement: f64,
}

/// Errors, slow answers, other answers.
const N_METRICS: f64 = 3.0;

/// A version that is a tenth slower is not slow yet.
const SLOW_FROM: f64 = 1.1;

fn usual_slow_from() -> f64 {
    SLOW_FROM
}

impl Plan {
    /// The usual steps: shadow, 1, 5, 25, 50, 100 %.
    pub fn usual(id: String, expert: String, stable: u32, canary: u32) -> Self {
        let step = |weight| Step { weight, least_time: Duration::from_secs(300), least_requests: 500 };
        Self {
            id,
            expert,
            stable,
            canary,
            steps: [0, 100, 500, 2_500, 5_000, ALL].map(step).to_vec(),
            alpha: 0.01,
            beta: 0.05,
            margins: Margins::default(),
            slow_from: SLOW_FROM,
        }
    }

    /// How much evidence, as a natural logarithm, one kind of harm needs to roll back: each may do so by mistake, together they do at
    /// most with probability alpha.
    pub fn ln_enough(&self) -> f64 {
        (N_METRICS / self.alpha).ln()
    }

    /// The first thing that makes no sense.
    ///
    /// # Errors
    /// Names the key, the value and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let weights: Vec<u32> = self.steps.iter().map(|step| step.weight).collect();
        if self.stable == self.canary {
            return Err(format!("canary: must be another version than the stable one: {}", self.canary));
        }
        if weights.last() != Some(&ALL) || !weights.is_sorted_by(|a, b| a < b) {
            return Err(format!("steps: the weights must rise and end with {ALL} basis points: {weights:?}"));
        }
        for (key, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(format!("{key}: must be between 0 and 1: {value}"));
            }
        }
        if !(self.slow_from >= 1.0 && self.slow_from.is_finite()) {
            return Err(format!("slow-from: must be at least 1: {}", self.slow_from));
        }
        let Margins { errors, slow, disagreement } = self.margins;
        for (key, value) in [("errors", errors), ("slow", slow), ("disagreement", disagreement)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(format!("margins: {key}: must be above 0 and at most 1: {value}"));
            }
        }
        Ok(())
    }
}

impl Default for Margins {
    fn default() -> Self {
        Self { errors: 0.005, slow: 0.025, disagreement: 0.1 }
    }
}
