//! What is known of every rollout: where it stands, and how it came there.

use std::collections::{BTreeMap, VecDeque};

use nanogrid_rollout::{Change, Decision, Rollout, Verdict};
use nanogrid_settings::ExpertName;
use serde::{Deserialize, Serialize};

/// The last rollout of each expert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// By expert.
    pub rollouts: BTreeMap<ExpertName, Kept>,
}

/// A rollout with its past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kept {
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// Where it stands.
    pub rollout: Rollout,
    /// What was decided last, for people.
    pub why: String,
    /// From where on an answer is slow, in microseconds; frozen when the step began, absent until enough was seen.
    pub slow_above_us: Option<u64>,
    /// Versions and weights in the grid file when it began. Once it is over, other ones there are news, and hold.
    pub weights_in_file: Vec<(u32, u32)>,
    /// Connections that the canary's endpoints had lost before, in this process.
    #[serde(skip)]
    pub lost_before: u64,
    /// Oldest first, over all rollouts of the expert.
    pub history: VecDeque<Entry>,
}

/// Something that happened to a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Of which rollout.
    pub rollout_id: String,
    /// What.
    pub event: Event,
    /// For people.
    pub why: String,
    /// The canary's share before, in basis points,
    pub weight_before: u32,
    /// and after.
    pub weight_after: u32,
}

/// What happened, and who made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The evidence did, and can be asked again.
    Decided(Box<Decision>),
    /// Somebody began it.
    Started,
    /// Somebody asked for it.
    Asked(Change),
    /// The grid changed so that it cannot go on.
    Ended,
}

/// Entries kept per expert: some years of releases, a few hundred kilobytes.
const LONGEST_HISTORY: usize = 200;

impl Kept {
    /// Has just begun; the expert's history goes on.
    pub fn new(rollout: Rollout, history: VecDeque<Entry>, now_ms: u64) -> Self {
        let mut kept = Self {
            started_ms: now_ms,
            rollout,
            why: String::new(),
            slow_above_us: None,
            weights_in_file: Vec::new(),
            lost_before: 0,
            history,
        };
        let why =
            format!("version {} is tried against {}", kept.rollout.plan.canary, kept.rollout.plan.stable);
        kept.remember(Event::Started, why, kept.rollout.weight(), now_ms);
        kept
    }

    /// Does what was decided, and remembers what changed something. Says whether it did.
    pub fn decided(&mut self, decision: Decision) -> bool {
        let weight_before = self.rollout.weight();
        self.rollout.apply(&decision.verdict, decision.at_ms);
        match &decision.verdict {
            Verdict::Hold { why } => {
                self.why.clone_from(why);
                false
            }
            Verdict::Advance { why } | Verdict::RollBack { why } => {
                let (why, now_ms) = (why.clone(), decision.at_ms);
                // The next step has a threshold of its own.
                self.slow_above_us = None;
                self.remember(Event::Decided(Box::new(decision)), why, weight_before, now_ms);
                true
            }
        }
    }

    /// Remembers what has just happened.
    pub fn remember(&mut self, event: Event, why: String, weight_before: u32, now_ms: u64) {
        self.why.clone_from(&why);
        if self.history.len() >= LONGEST_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Entry {
            at_ms: now_ms,
            rollout_id: self.rollout.plan.id.clone(),
            event,
            why,
            weight_before,
            weight_after: self.rollout.weight(),
        });
    }
}

#[cfg(test)]
impl State {
    /// One rollout that has begun.
    pub fn sample() -> Self {
        let plan = nanogrid_rollout::Plan::usual("intent-2-1".to_owned(), "intent".to_owned(), 1, 2);
        let rollout = Rollout::start(plan, 1_000).expect("a good plan");
        let kept = Kept::new(rollout, VecDeque::new(), 1_000);
        Self { rollouts: BTreeMap::from([("intent".parse().expect("a name"), kept)]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        State::sample().rollouts.into_values().next().expect("one")
    }

    #[test]
    fn a_decision_that_changes_something_is_remembered_with_its_evidence() {
        let mut kept = kept();
        let gate = nanogrid_rollout::Gate::InvalidAnswer("NaN".to_owned());
        assert!(!kept.decided(Decision::take(&kept.rollout, Vec::new(), Vec::new(), 2_000)));
        assert_eq!(kept.why, "the canary has had 0 of the 500 requests that this step needs");
        assert!(kept.decided(Decision::take(&kept.rollout, Vec::new(), vec![gate], 3_000)));
        let entry = kept.history.back().expect("remembered");
        assert_eq!((entry.weight_after, kept.history.len()), (0, 2));
        let Event::Decided(decision) = &entry.event else { panic!("{entry:?}") };
        assert_eq!(decision.replay(), decision.verdict);
    }

    #[test]
    fn the_history_is_bounded() {
        let mut kept = kept();
        for i in 0..2 * LONGEST_HISTORY as u64 {
            kept.remember(Event::Asked(Change::Pause), String::new(), 0, i);
        }
        assert_eq!(kept.history.len(), LONGEST_HISTORY);
        assert_eq!(kept.history.back().map(|entry| entry.at_ms), Some(2 * LONGEST_HISTORY as u64 - 1));
    }
}
