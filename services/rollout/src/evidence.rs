//! Evidence that can be looked at after every request, for ever, without being fooled by looking.
//!
//! A test that is valid once (a z-test, a Mann-Whitney) and is asked every minute calls a healthy canary bad in one rollout
//! out of ten. An e-process may be asked at any moment: while the null hypothesis holds it exceeds `1/alpha` with probability
//! at most `alpha` over its whole life (Ville's inequality; Ramdas et al., "Game-theoretic statistics and safe anytime-valid
//! inference", Statistical Science 38(4), 2023).
//!
//! Ours bets on one question: do the bad events fall on the canary more often than its share of the traffic explains? The rate
//! of bad events does not matter then, and a shock that hits both versions cancels out. Within one window of `n` requests, `m` of them
//! the canary's, and `k` bad events, the bad ones fall on the canary as if drawn without replacement; the product below is
//! convex in their number, so that its expectation is at most that of drawing with replacement (Hoeffding, JASA 58, 1963), which
//! is 1. So the share that was really seen in a window may be used, and sticky keys that make it drift do no harm.

//!
//! A bet that has lost for an hour would need an hour of harm to win again, and a canary may well turn bad late. So half of the
//! stake is held back and bet bit by bit, a little with every bad event: a mixture over the moments from which on the canary may
//! be bad. Each part is an e-process from its start on, and so is their sum.

use serde::{Deserialize, Serialize};

/// What is bet on: the odds that a bad event falls on the canary are so many times as high. Small and large harm are both found
/// soon, since the sum of the bets loses at most a factor of their number against the best one.
const RATIOS: [f64; 7] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0];

/// After this many bad events half of what was held back is bet. A canary that is bad from the start is found by some hundred events
/// or fewer.
const PATIENCE: f64 = 200.0;

/// Wealth that began as 1 and is multiplied up or down event by event. Constant size, whatever the traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EProcess {
    /// One for each of the ratios.
    ln_bets: [f64; RATIOS.len()],
    ln_held_back: f64,
    /// Bet on so far.
    n_events: u64,
}

impl Default for EProcess {
    fn default() -> Self {
        let half = -std::f64::consts::LN_2;
        Self { ln_bets: [half - (RATIOS.len() as f64).ln(); RATIOS.len()], ln_held_back: half, n_events: 0 }
    }
}

/// Events of one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All.
    pub n: u64,
    /// The bad ones among them.
    pub bad: u64,
}

/// What two versions did in the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arms {
    /// Everybody else's.
    pub stable: Tally,
    /// Of the version being tried.
    pub canary: Tally,
}

impl EProcess {
    /// Bets on one window: bad events fall on the canary by its share of the window's requests, or more often.
    pub fn compare(&mut self, window: &Arms) {
        let Arms { stable, canary } = window;
        let n = stable.n + canary.n;
        // Nothing to choose from: whatever happened says nothing about the choice.
        if canary.n == 0 || stable.n == 0 {
            return;
        }
        self.bet(canary.n as f64 / n as f64, stable.bad + canary.bad, canary.bad);
    }

    /// Bets on single events: each is bad with probability `allowed`, or more often.
    pub fn exceed(&mut self, allowed: f64, tally: Tally) {
        // A rate of 0 would make one event infinite evidence, and 1 cannot be exceeded.
        if allowed < 1.0 {
            self.bet(allowed.max(LEAST_RATE), tally.n, tally.bad);
        }
    }

    /// Takes over the wealth of `other`, which bets no more, and stakes it along from now on. While the null hypothesis holds,
    /// every single bet of either multiplies what both have together by at most 1 on average, whatever was seen before; so
    /// their product is an e-process as they are, and remains one when one of them stops, at whatever moment that is.
    pub fn absorb(&mut self, other: &Self) {
        let ln_e = other.ln_e();
        self.ln_bets.iter_mut().for_each(|ln_bet| *ln_bet += ln_e);
        self.ln_held_back += ln_e;
    }

    /// The wealth, as a natural logarithm. That of several routers, which see different requests, is the sum of theirs.
    pub fn ln_e(&self) -> f64 {
        self.ln_bets.iter().copied().fold(self.ln_held_back, ln_sum)
    }

    /// Each of `trials` is a hit with probability `chance` under the null, with `r * chance / (1 + (r - 1) * chance)` under
    /// bet `r`.
    fn bet(&mut self, chance: f64, trials: u64, hits: u64) {
        if trials == 0 {
            return;
        }
        let before = self.n_events as f64 + PATIENCE;
        self.n_events += trials;
        let now_bet = trials as f64 / (before + trials as f64);
        let ln_fresh = self.ln_held_back + (now_bet / RATIOS.len() as f64).ln();
        self.ln_held_back += (-now_bet).ln_1p();
        for (ln_bet, ratio) in self.ln_bets.iter_mut().zip(RATIOS) {
            *ln_bet += hits as f64 * ratio.ln() - trials as f64 * (chance * (ratio - 1.0)).ln_1p();
            *ln_bet = ln_sum(*ln_bet, ln_fresh);
        }
    }
}

/// `ln(exp(a) + exp(b))` where the powers themselves would overflow.
fn ln_sum(a: f64, b: f64) -> f64 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

/// One in ten thousand: below what any rollout can tell from 0.
const LEAST_RATE: f64 = 1e-4;

impl Tally {
    /// Adds `other`'s events.
    pub fn add(&mut self, other: Self) {
        self.n += other.n;
        self.bad += other.bad;
    }

    /// One more request.
    pub fn count(&mut self, is_bad: bool) {
        self.n += 1;
        self.bad += u64::from(is_bad);
    }

    /// Share of bad ones; `None` when there was nothing.
    pub fn rate(self) -> Option<f64> {
        (self.n > 0).then(|| self.bad as f64 / self.n as f64)
    }
}

impl Arms {
    /// Adds `other`'s events.
    pub fn add(&mut self, other: &Self) {
        self.stable.add(other.stable);
        self.canary.add(other.canary);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(stable: (u64, u64), canary: (u64, u64)) -> Arms {
        let tally = |(n, bad)| Tally { n, bad };
        Arms { stable: tally(stable), canary: tally(canary) }
    }

    #[test]
    fn without_events_there_is_no_evidence() {
        let mut evidence = EProcess::default();
        assert!(evidence.ln_e().abs() < 1e-12);
        evidence.compare(&window((950, 0), (50, 0)));
        evidence.compare(&window((950, 30), (0, 0)));
        evidence.compare(&window((0, 0), (50, 30)));
        assert!(evidence.ln_e().abs() < 1e-12);
    }

    #[test]
    fn errors_of_the_canary_alone_convict_it_and_those_of_both_do_not() {
        let mut alone = EProcess::default();
        alone.compare(&window((950, 0), (50, 3)));
        assert!(alone.ln_e() > 100_f64.ln(), "{}", alone.ln_e());

        let mut both = EProcess::default();
        both.compare(&window((950, 475), (50, 25)));
        assert!(both.ln_e() < 0.0, "{}", both.ln_e());
    }

    #[test]
    fn a_canary_that_turns_bad_late_is_found_soon_all_the_same() {
        let mut evidence = EProcess::default();
        for _ in 0..3_600 {
            evidence.compare(&window((47, 1), (3, 0)));
        }
        let healthy = evidence.ln_e();
        assert!(
            (-4.0..0.0).contains(&healthy),
            "an hour of bets costs no more than the stake of some: {healthy}"
        );
        let seconds = (1..).find(|_| {
            evidence.compare(&window((47, 0), (3, 1)));
            evidence.ln_e() > 100_f64.ln()
        });
        // A fresh one takes three.
        assert!(seconds.is_some_and(|seconds| seconds <= 8), "{seconds:?}");
    }

    #[test]
    fn disagreement_within_what_is_allowed_is_no_evidence() {
        let mut evidence = EProcess::default();
        evidence.exceed(0.1, Tally { n: 1_000, bad: 100 });
        assert!(evidence.ln_e() < 0.0, "{}", evidence.ln_e());
        evidence.exceed(0.1, Tally { n: 20, bad: 15 });
        assert!(evidence.ln_e() > 1_000_f64.ln(), "{}", evidence.ln_e());
        let mut anything = EProcess::default();
        anything.exceed(1.0, Tally { n: 20, bad: 20 });
        assert!(anything.ln_e().abs() < 1e-12);
    }

    #[test]
    fn what_is_taken_over_multiplies_what_is_there_and_what_comes() {
        let mut gone = EProcess::default();
        gone.compare(&window((950, 0), (50, 2)));
        let (mut alone, mut heir) = (EProcess::default(), EProcess::default());
        alone.compare(&window((950, 10), (50, 1)));
        heir.compare(&window((950, 10), (50, 1)));
        heir.absorb(&gone);
        assert!((heir.ln_e() - alone.ln_e() - gone.ln_e()).abs() < 1e-9);
        alone.compare(&window((950, 0), (50, 1)));
        heir.compare(&window((950, 0), (50, 1)));
        assert!((heir.ln_e() - alone.ln_e() - gone.ln_e()).abs() < 1e-9);
    }

    /// `n` over `k`, exactly enough for small numbers.
    fn choose(n: u64, k: u64) -> f64 {
        (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
    }

    proptest! {
        /// The promise itself: over all ways to hand `bad` events to `n` requests, the expectation is at most 1.
        #[test]
        fn a_window_of_equal_versions_multiplies_the_stake_by_at_most_one(
            canary_n in 1_u64..30, stable_n in 1_u64..60, bad in 0_u64..20,
        ) {
            let n = canary_n + stable_n;
            prop_assume!(bad <= n);
            let mut expectation = 0.0;
            for hits in bad.saturating_sub(stable_n)..=bad.min(canary_n) {
                let mut evidence = EProcess::default();
                evidence.compare(&window((stable_n, bad - hits), (canary_n, hits)));
                let chance = choose(canary_n, hits) * choose(stable_n, bad - hits) / choose(n, bad);
                expectation += chance * evidence.ln_e().exp();
            }
            prop_assert!(expectation <= 1.0 + 1e-9, "{}", expectation);
        }
    }
}
