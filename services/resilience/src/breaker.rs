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

#[derive(Debug)]
struct Shared {
    born: Instant,
    /// [`BreakerState`] in one word, see [`Shared::read`]. Written under the lock, read without it: a picker looks at
    /// every breaker of a pool for every call.
    state: AtomicU64,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    /// Counts changes of state. A permit from another generation has nothing to say any more.
    generation: u64,
    failures_in_a_row: u32,
    /// Rests since the last time it worked for a whole window.
    rests: u32,
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
        let _ = seed;
        unimplemented!()
    }

    /// A permit while calls flow, or one for a probe when the rest is over. `None`: call another endpoint.
    pub fn admit(&self) -> Option<Permit> {
        unimplemented!()
    }

    /// A permit in any state, for the last endpoint of a pool and in panic. If a probe is due, this is it; otherwise, while
    /// open, the verdict is not needed and changes nothing.
    pub fn admit_anyway(&self) -> Permit {
        unimplemented!()
    }

    /// Whether [`Self::admit`] would give a permit now, unless another caller is faster.
    pub fn would_admit(&self, now: Instant) -> bool {
        let _ = now;
        unimplemented!()
    }

    /// What it does at the moment, for pickers, metrics and people. Takes no lock.
    pub fn state(&self) -> BreakerState {
        unimplemented!()
    }

    /// Whether calls flow without restriction. Takes no lock.
    pub fn is_closed(&self) -> bool {
        self.state() == BreakerState::Closed
    }
}

impl Permit {
    /// Whether this call decides if the breaker closes again.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Gives the permit back with what the call said. Returns the change of state, if it caused one.
    pub fn record(self, settings: &BreakerSettings, verdict: Verdict) -> Option<Transition> {
        let _ = (settings, verdict);
        unimplemented!()
    }
}
