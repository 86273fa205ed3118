//! One expert's rollout as one of several routers knows it: what was decided by whoever decides, and what this router has seen.
//! No I/O here, and time is an argument.

use std::{collections::BTreeMap, time::Duration};

use nanogrid_rollout::{Decision, Evidence, Gate, Verdict};
use tokio::time::Instant;

use super::object::{Contribution, Object, Record};
use crate::rollout::{hands::Window, state::Kept};

/// See the module.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) object: Object,
    me: String,
    own: Own,
    /// What others wrote last, and since when it has been there.
    others: BTreeMap<String, (String, Instant)>,
    /// Since when the decisions are whose they are.
    leader_since: Instant,
}

/// What this router has seen.
#[derive(Debug, Default)]
struct Own {
    evidence: Evidence,
    gates: Vec<Gate>,
    slow_above_us: Option<u64>,
    lost_before: u64,
    beat: u64,
    published_at: Option<Instant>,
    is_urgent: bool,
}

/// What is to be written, and over what.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) before: Option<String>,
    pub(super) text: String,
    rollout_id: String,
}

/// What is to be decided.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) resource_version: String,
    pub(super) record: Record,
    /// Routers whose evidence is now in the record.
    pub(super) gone: Vec<String>,
}

/// What whoever decides knows beside the trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// The grid has both versions.
    pub(super) is_in_grid: bool,
    /// When the Lease was last signed.
    pub(super) signed: Instant,
    /// Whoever has said nothing for so long has gone.
    pub(super) patience: Duration,
    pub(super) now: Instant,
    /// Milliseconds since 1970.
    pub(super) now_ms: u64,
}

impl Trial {
    pub(super) fn new(object: Object, me: &str, lost_before: u64, now: Instant) -> Self {
        let own = Own { lost_before, ..Own::default() };
        let mut trial = Self { object, me: me.to_owned(), own, others: BTreeMap::new(), leader_since: now };
        trial.look_around(now);
        trial
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.object.record.kept
    }

    pub(super) fn is_over(&self) -> bool {
        self.kept().rollout.is_over()
    }

    pub(super) fn lost_before(&self) -> u64 {
        self.own.lost_before
    }

    /// The canary's share here: a router that has seen a gate broken does not wait for the others.
    pub(super) fn weight(&self) -> u32 {
        if self.own.gates.is_empty() || self.is_over() { self.kept().rollout.weight() } else { 0 }
    }

    /// Takes in what happened since the last look. Says whether that broke the first gate.
    pub(super) fn saw(&mut self, window: Window, slow_above_us: Option<u64>) -> bool {
        let Window { seen, gates } = window;
        self.own.evidence.observe(&seen, self.object.rollout().plan.margins.disagreement);
        self.own.slow_above_us = slow_above_us;
        let is_first = self.own.gates.is_empty() && !gates.is_empty();
        if is_first {
            self.own.gates = gates;
        }
        self.own.is_urgent |= is_first || seen.errors.canary.bad > 0 || seen.compared.bad > 0;
        is_first
    }

    /// Is the state of a later moment, of the same rollout.
    pub(super) fn follow(&mut self, object: Object, now: Instant) {
        if object.rollout().step_began_ms != self.object.rollout().step_began_ms {
            self.own.evidence.begin_step();
        }
        if object.record.leader != self.object.record.leader {
            self.leader_since = now;
        }
        let stood = self.stands().is_some();
        self.object = object;
        if stood && self.stands().is_none() {
            // Whoever decides took us for gone, and has our evidence in the record: to tell it again would count it twice.
            self.own.evidence = Evidence::default();
        }
        self.look_around(now);
    }

    /// What this router has in the object. Nobody else writes it, so that a write whose answer was lost counts when it is seen there;
    /// whoever decides may remove it.
    fn stands(&self) -> Option<&str> {
        self.object.written_by(&self.me)
    }

    /// Others are only silent while they could be heard.
    pub(super) fn heard_again(&mut self, now: Instant) {
        self.others.values_mut().for_each(|(_, since)| *since = now);
    }

    fn look_around(&mut self, now: Instant) {
        let others = self.object.routers().filter(|(router, _)| *router != self.me);
        let since = |(router, text): (&str, &str)| {
            let before = self.others.get(router).filter(|(before, _)| before == text);
            (router.to_owned(), (text.to_owned(), before.map_or(now, |(_, since)| *since)))
        };
        self.others = others.map(since).collect();
    }

    /// What this router has to say now, if anything: what is bad at once, everything else every `pause`. It begins by saying that it is
    /// there: evidence is only ever written over what is known to stand, lest it be written again where it was removed because it counts already.
    pub(super) fn publication(&mut self, pause: Duration, now: Instant) -> Option<Publication> {
        let is_due = self.own.published_at.is_none_or(|at| now.duration_since(at) >= pause);
        if self.is_over() || !(is_due || self.own.is_urgent) {
            return None;
        }
        self.own.beat += 1;
        let rollout = self.object.rollout();
        let before = self.stands().map(str::to_owned);
        let contribution = Contribution {
            rollout_id: rollout.plan.id.clone(),
            step_began_ms: rollout.step_began_ms,
            evidence: if before.is_some() { self.own.evidence.clone() } else { Evidence::default() },
            gates: self.own.gates.clone(),
            slow_above_us: self.own.slow_above_us,
            beat: self.own.beat,
        };
        let text = serde_json::to_string(&contribution).ok()?;
        Some(Publication { before, text, rollout_id: contribution.rollout_id })
    }

    /// It was written; what stands is told by the object.
    pub(super) fn published(&mut self, publication: &Publication, now: Instant) {
        let has_evidence = publication.before.is_some();
        if has_evidence && publication.rollout_id == self.object.rollout().plan.id {
            self.own.published_at = Some(now);
            self.own.is_urgent = false;
        }
    }

    /// All evidence, as one.
    pub(super) fn total(&self) -> Evidence {
        let mut total = self.object.rollout().evidence.clone();
        self.of_all(|_| true).iter().for_each(|evidence| total.absorb(evidence));
        total
    }

    /// What this router would decide, for people.
    pub(super) fn verdict(&self, now_ms: u64) -> Verdict {
        let rollout = self.object.rollout();
        rollout.verdict(&self.of_all(|_| true), &self.gates(), now_ms)
    }

    /// Of every router but those that are not `wanted`, this one included; each saw other requests.
    fn of_all(&self, wanted: impl Fn(&str) -> bool) -> Vec<Evidence> {
        let others =
            self.object.contributions.iter().filter(|(router, _)| **router != self.me && wanted(router));
        let others = others.filter_map(|(_, each)| each.evidence_for(self.object.rollout()));
        others
            .chain([self.own.evidence.clone()])
            .filter(|evidence| *evidence != Evidence::default())
            .collect()
    }

    fn others_now(&self) -> impl Iterator<Item = &Contribution> {
        let others = self.object.contributions.iter().filter(|(router, _)| **router != self.me);
        others.map(|(_, each)| each).filter(|each| each.rollout_id == self.object.rollout().plan.id)
    }

    fn gates(&self) -> Vec<Gate> {
        let others = self.others_now().flat_map(|each| &each.gates);
        self.own.gates.iter().chain(others).cloned().collect()
    }

    /// What is to be written by whoever decides, if anything: that the decisions are ours now, what those that have gone had seen, from
    /// where on an answer is slow, and what follows from all that was seen.
    pub(super) fn propose(&self, circumstances: Circumstances) -> Option<Proposal> {
        let Circumstances { is_in_grid, signed, patience, now, now_ms } = circumstances;
        let Record { leader, mut kept } = self.object.record.clone();
        if kept.rollout.is_over() {
            return None;
        }
        let takes_over = leader != self.me;
        // Somebody else took over after we had last made sure that it is for us to decide.
        if takes_over && signed <= self.leader_since {
            return None;
        }
        let is_silent = |since: &Instant| now.duration_since(*since) > patience;
        let gone: Vec<String> = self
            .others
            .iter()
            .filter(|(_, (_, since))| is_silent(since))
            .map(|(router, _)| router.clone())
            .collect();
        let left = gone.iter().filter_map(|router| self.object.contributions.get(router));
        for evidence in left.filter_map(|each| each.evidence_for(self.object.rollout())) {
            kept.rollout.evidence.absorb(&evidence);
        }
        let mut is_news = takes_over || !gone.is_empty();
        if !is_in_grid {
            kept.lose(now_ms);
            is_news = true;
        } else {
            if kept.slow_above_us.is_none() {
                // Slow is what is slow everywhere.
                let known = || self.others_now().filter_map(|each| each.slow_above_us).max();
                kept.slow_above_us = self.own.slow_above_us.or_else(known);
                is_news |= kept.slow_above_us.is_some();
            }
            let others = self.of_all(|router| !gone.iter().any(|each| each == router));
            is_news |= kept.decided(Decision::take(&kept.rollout, others, self.gates(), now_ms));
        }
        is_news.then(|| Proposal {
            resource_version: self.object.resource_version.clone(),
            record: Record { leader: self.me.clone(), kept },
            gone,
        })
    }
}

#[cfg(test)]
mod tests;
