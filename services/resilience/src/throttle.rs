//! Refuses here what would be refused there anyway: an overloaded backend spends time on every refusal, and a dead one costs
//! every caller a connection attempt. The client-side throttle of the SRE book ("Handling Overload").
//!
//! It is for those who have too much to do, and find their own balance: about twice as much is sent as they accept. Of one
//! that refuses a share of whatever comes, more than half, only a fifth remains.
//!
//! Unlike there, a request counts when its result is known and not when it begins: a burst from nothing would otherwise look
//! like one of which nothing was accepted.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::Rng;
use tokio::time::Instant;

use crate::window::Window;

/// Requests per accepted one that are let through: 2 as in the SRE book, so that half of what is sent may be refused before
/// anything is held back here, and recovery is noticed at once.
const K: f64 = 2.0;
/// The book takes two minutes; an expert that was restarted is back in seconds.
const WINDOW: Duration = Duration::from_secs(30);
/// Refusals that prove nothing: one failed call must not halve the traffic of an expert that has two per second. As many as
/// a breaker needs to judge by its success rate.
const BENEFIT_OF_DOUBT: f64 = 20.0;
/// As Envoy's admission control: what is left is how anyone notices that it works again.
const MOST_REFUSED: f64 = 0.8;

/// Holds back calls to an expert that accepts fewer than one in two.
#[derive(Debug)]
pub struct Throttle {
    /// Requests, and those of them that were accepted.
    window: Mutex<Window>,
}

impl Throttle {
    /// Lets everything through until refusals are recorded.
    pub fn new() -> Self {
        Self { window: Mutex::new(Window::new(WINDOW)) }
    }

    /// Whether to try at all. A refusal here counts as a request that was not accepted; whoever is admitted records the end.
    pub fn admit(&self, random: &mut impl Rng) -> bool {
        let now = Instant::now();
        let [n_requests, n_accepted] = self.lock().sums(now).map(f64::from);
        let excess = n_requests - K * n_accepted - BENEFIT_OF_DOUBT;
        if excess <= 0.0 {
            return true;
        }
        let refused = random.random::<f64>() < (excess / (n_requests + 1.0)).min(MOST_REFUSED);
        if refused {
            self.lock().add(now, [1, 0]);
        }
        !refused
    }

    /// How an admitted call ended: `false` if it was shed or nobody could be reached. A call that says nothing (the client
    /// left) is not recorded.
    pub fn record(&self, accepted: bool) {
        self.lock().add(Instant::now(), [1, accepted.into()]);
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
