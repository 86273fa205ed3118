//! Keeps calls away from what fails, and finds out with single calls when it works again.
//!
//! Permits, not flags: whoever is admitted holds one and returns it with a verdict. So a result always meets the state in
//! which its call was admitted (a call from before the trip neither closes the breaker nor trips it again), and a probe
//! whose caller went away is noticed when its permit is dropped.
//!
//! ```text
//!            5 hard failures in a row, or under half of >= 20 calls in 10 s succeeded
//!  Closed ------------------------------------------------------------------------------> Open { until }
//!    ^                                                                                     |  ^      ^
//!    |                                                          rest over, next caller     |  |      | permit dropped
//!    |  probe succeeded                                                                    v  | probe| without verdict:
//!    +---------------------------------------------------------------------------------- Probing ----+ until = now
//!                                                                                      failed: rest x 2
//! ```
//!
//! What a verdict is decides the caller, who knows the call; see [`Verdict::Neutral`] for what must never be blamed on the
//! other side. The same type guards an endpoint and, over all endpoints, a version.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::Instant;

use crate::{Backoff, window::Window};

/// When to trip, and how long to stay away.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Hard failures in a row that trip it.
    pub consecutive_failures: u32,
    /// Trips when a smaller share of the calls in `window` succeeded, from 0 to 1.
    pub success_rate: f32,
    /// What the success rate is taken over.
    pub window: Duration,
    /// With fewer calls in `window` the success rate says nothing.
    pub least_calls: u32,
    /// The first rest after a trip. Each failed probe doubles it.
    pub rest: Duration,
    /// No rest is longer.
    pub longest_rest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            // As linkerd's and Envoy's: fewer trip on coincidence, more cost clients.
            consecutive_failures: 5,
            success_rate: 0.5,
            window: Duration::from_secs(10),
            // Below about 20 calls a rate of one half is well within the noise of a service at 80 %.
            least_calls: 20,
            rest: Duration::from_secs(1),
            // Envoy and linkerd go to minutes; inside a cluster a probe is cheap, and healing should be noticed.
            longest_rest: Duration::from_secs(10),
        }
    }
}

/// What a call says about who was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered, if only that the request makes no sense.
    Success,
    /// It could not be reached, broke, or was silent for as long as it would ever need.
    Failure,
    /// It said that it has too much to do. It lives, so this is no hard failure; but it counts for the success rate, and a
    /// probe that is shed has failed.
    Shed,
    /// The call says nothing. Everything that the caller's side decided belongs here: a caller who went away, a hedge that
    /// lost, and above all a deadline shorter than what the endpoint usually needs (its p99). Were such a deadline a
    /// failure, clients in a hurry could take a healthy endpoint from everybody.
    Neutral,
}

/// What the breaker does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls flow.
    Closed,
    /// No calls until then; after it, the next caller probes.
    Open {
        /// The end of the rest. It may have passed: nobody called since.
        until: Instant,
    },
    /// One call is on its way and will decide.
    Probing,
}

/// Why a breaker opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too many hard failures in a row.
    ConsecutiveFailures,
    /// Too small a share of the calls in the window succeeded.
    SuccessRate,
    /// It was open already, and the probe failed.
    FailedProbe,
}

/// A change of state, told to exactly one caller, so that it is logged and counted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Calls stop.
    Opened {
        /// What tripped it.
        reason: Reason,
        /// How long nobody will be admitted.
        rest: Duration,
    },
    /// Calls flow again.
    Closed,
}

/// A circuit breaker. It never refuses by itself for the last endpoint: see [`Self::admit_anyway`].
#[derive(Debug)]
pub struct Breaker {
    shared: Arc<Shared>,
}

const CLOSED: u64 = 0;
const PROBING: u64 = u64::MAX;

#[derive(Debug)]
struct Shared {
    born: Instant,
    /// [`BreakerState`] in one word: [`CLOSED`], [`PROBING`], or microseconds from `born` to the end of the rest. Written
    /// under the lock, read without it: a picker looks at every breaker of a pool for every call.
    state: AtomicU64,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    /// Counts changes of state. A permit from another generation has nothing to say any more.
    generation: u64,
    failures_in_a_row: u32,
    /// Rests since it last worked for a whole window. One that closes and soon trips again goes on doubling, or an endpoint
    /// that fails two calls in three would be back every second.
    n_rests: u32,
    closed_at: Option<Instant>,
    /// Good and bad calls.
    window: Window,
    random: SmallRng,
}

/// Leave to call, to be given back with a verdict.
#[must_use = "a permit dropped without `record` is no verdict"]
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    generation: u64,
    probe: bool,
}

impl Breaker {
    /// A closed breaker. The seed makes the jitter of its rests repeatable.
    pub fn new(seed: u64) -> Self {
        let record = Record {
            generation: 0,
            failures_in_a_row: 0,
            n_rests: 0,
            closed_at: None,
            window: Window::new(Duration::ZERO),
            random: SmallRng::seed_from_u64(seed),
        };
        let shared =
            Shared { born: Instant::now(), state: AtomicU64::new(CLOSED), record: Mutex::new(record) };
        Self { shared: Arc::new(shared) }
    }

    /// A permit while calls flow, or one for a probe when the rest is over. `None`: call another endpoint.
    pub fn admit(&self) -> Option<Permit> {
        let mut record = self.shared.lock();
        match self.state() {
            BreakerState::Closed => Some(self.permit(&record, false)),
            BreakerState::Open { until } if until <= Instant::now() => {
                self.shared.enter(&mut record, BreakerState::Probing);
                Some(self.permit(&record, true))
            }
            BreakerState::Open { .. } | BreakerState::Probing => None,
        }
    }

    /// A permit in any state, for the last endpoint of a pool and in panic. If a probe is due, this is it; otherwise, while
    /// open, the verdict is not needed and changes nothing.
    pub fn admit_anyway(&self) -> Permit {
        self.admit().unwrap_or_else(|| self.permit(&self.shared.lock(), false))
    }

    /// Ends a rest now: whoever was called is another process than the one that failed, or has begun to answer, so that the
    /// next caller may find out.
    pub fn probe_now(&self) {
        let mut record = self.shared.lock();
        if matches!(self.state(), BreakerState::Open { .. }) {
            self.shared.enter(&mut record, BreakerState::Open { until: Instant::now() });
        }
    }

    /// Whether [`Self::admit`] would give a permit now, unless another caller is faster. Takes no lock.
    pub fn would_admit(&self, now: Instant) -> bool {
        match self.state() {
            BreakerState::Closed => true,
            BreakerState::Open { until } => until <= now,
            BreakerState::Probing => false,
        }
    }

    /// What it does at the moment, for pickers, metrics and people. Takes no lock.
    pub fn state(&self) -> BreakerState {
        match self.shared.state.load(Ordering::Acquire) {
            CLOSED => BreakerState::Closed,
            PROBING => BreakerState::Probing,
            micros => BreakerState::Open { until: self.shared.born + Duration::from_micros(micros) },
        }
    }

    /// Whether calls flow without restriction. Takes no lock.
    pub fn is_closed(&self) -> bool {
        self.state() == BreakerState::Closed
    }

    fn permit(&self, record: &Record, probe: bool) -> Permit {
        Permit { shared: Arc::clone(&self.shared), generation: record.generation, probe }
    }
}

impl Permit {
    /// Whether this call decides if the breaker closes again.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Gives the permit back with what the call said. Returns the change of state, if it caused one.
    pub fn record(mut self, settings: &BreakerSettings, verdict: Verdict) -> Option<Transition> {
        if verdict == Verdict::Neutral {
            // Dropped: a probe that says nothing leaves the next caller to find out.
            return None;
        }
        let shared = Arc::clone(&self.shared);
        let mut record = shared.lock();
        if self.generation != record.generation {
            return None;
        }
        if std::mem::take(&mut self.probe) {
            return Some(match verdict {
                Verdict::Success => shared.close(&mut record),
                Verdict::Failure | Verdict::Shed | Verdict::Neutral => {
                    shared.open(&mut record, settings, Reason::FailedProbe)
                }
            });
        }
        if !matches!(shared.state.load(Ordering::Acquire), CLOSED) {
            // Admitted anyway while open: only the probe decides.
            return None;
        }
        let reason = record.count(settings, verdict)?;
        Some(shared.open(&mut record, settings, reason))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut record = self.shared.lock();
        if self.generation == record.generation {
            // The prober went away (deadline, client gone): let the next caller probe at once.
            self.shared.enter(&mut record, BreakerState::Open { until: Instant::now() });
        }
    }
}

impl Shared {
    /// Nothing under the lock can leave the record half changed, so a panic elsewhere is no reason to stop calling.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, record: &mut Record, state: BreakerState) {
        record.generation += 1;
        let word = match state {
            BreakerState::Closed => CLOSED,
            BreakerState::Probing => PROBING,
            BreakerState::Open { until } => {
                let micros = until.saturating_duration_since(self.born).as_micros();
                u64::try_from(micros).unwrap_or(u64::MAX).clamp(CLOSED + 1, PROBING - 1)
            }
        };
        self.state.store(word, Ordering::Release);
    }

    fn open(&self, record: &mut Record, settings: &BreakerSettings, reason: Reason) -> Transition {
        let now = Instant::now();
        if record.closed_at.take().is_some_and(|closed_at| now - closed_at >= settings.window) {
            record.n_rests = 0;
        }
        let backoff = Backoff::new(settings.rest, settings.longest_rest);
        let rest = backoff.delay_with(record.n_rests, &mut record.random);
        record.n_rests = record.n_rests.saturating_add(1);
        self.enter(record, BreakerState::Open { until: now + rest });
        Transition::Opened { reason, rest }
    }

    fn close(&self, record: &mut Record) -> Transition {
        record.failures_in_a_row = 0;
        record.window.restart(record.window.length());
        record.closed_at = Some(Instant::now());
        self.enter(record, BreakerState::Closed);
        Transition::Closed
    }
}

impl Record {
    /// Counts a call that was admitted while closed. Returns why to trip, if it is time to.
    fn count(&mut self, settings: &BreakerSettings, verdict: Verdict) -> Option<Reason> {
        if self.window.length() != settings.window {
            self.window.restart(settings.window);
        }
        match verdict {
            Verdict::Success => self.failures_in_a_row = 0,
            Verdict::Failure => self.failures_in_a_row += 1,
            Verdict::Shed | Verdict::Neutral => {}
        }
        let succeeded = verdict == Verdict::Success;
        let [good, bad] = self.window.add(Instant::now(), [succeeded.into(), (!succeeded).into()]);
        if succeeded {
            return None;
        }
        if self.failures_in_a_row >= settings.consecutive_failures.max(1) {
            return Some(Reason::ConsecutiveFailures);
        }
        let n_calls = good.saturating_add(bad);
        let too_few_good = f64::from(good) < f64::from(settings.success_rate) * f64::from(n_calls);
        (n_calls >= settings.least_calls && too_few_good).then_some(Reason::SuccessRate)
    }
}

#[cfg(test)]
mod tests;
