//! A decision with everything that it was taken on, so that anybody can take it again.

use serde::{Deserialize, Serialize};

use crate::{Evidence, Gate, Rollout, Verdict};

/// One decision. As JSON it is the record that `nanogrid rollout history` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// As it stood before.
    pub rollout: Rollout,
    /// What other routers saw.
    pub others: Vec<Evidence>,
    /// Which gates were broken.
    pub gates: Vec<Gate>,
    /// What was decided.
    pub verdict: Verdict,
}

impl Decision {
    /// Decides, and keeps on what grounds.
    pub fn take(rollout: &Rollout, others: Vec<Evidence>, gates: Vec<Gate>, at_ms: u64) -> Self {
        let verdict = rollout.verdict(&others, &gates, at_ms);
        Self { at_ms, rollout: rollout.clone(), others, gates, verdict }
    }

    /// Decides again on the same grounds. Another verdict than the recorded one means another version of this code.
    pub fn replay(&self) -> Verdict {
        self.rollout.verdict(&self.others, &self.gates, self.at_ms)
    }
}
