//! What calls have taught the router about an endpoint. It stays through reloads of the grid file and through lost
//! connections: neither makes a bad endpoint a good one.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use nanogrid_resilience::{Breaker, Latency, Load};
use tokio::{sync::Notify, time::Instant};

/// Long enough that calls in a row see the same overload, short enough that one burst does not stop retries for long.
const SHED_LATELY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct History {
    /// What a call would cost.
    pub load: Load,
    /// Whether its calls succeed.
    pub breaker: Breaker,
    /// How long its answers take.
    pub latency: Latency,
    born: Instant,
    /// Microseconds since `born` of the last call it shed; 0 = it never did.
    shed_at: AtomicU64,
    /// A call has waited far too long, and nothing was heard since.
    silent: AtomicBool,
    doubt: Notify,
    n_lost: AtomicU64,
}

impl History {
    /// Of an endpoint that is expected to answer within `usual`.
    pub(super) fn new(usual: Duration) -> Self {
        Self {
            load: Load::new(usual),
            breaker: Breaker::new(rand::random()),
            latency: Latency::default(),
            born: Instant::now(),
            shed_at: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            doubt: Notify::new(),
            n_lost: AtomicU64::new(0),
        }
    }

    /// It said that it has too much to do.
    pub fn has_shed(&self, now: Instant) {
        let micros = now.saturating_duration_since(self.born).as_micros();
        self.shed_at.store(u64::try_from(micros).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// Has it said so lately?
    pub fn sheds(&self, now: Instant) -> bool {
        match self.shed_at.load(Ordering::Relaxed) {
            0 => false,
            micros => now.saturating_duration_since(self.born) < Duration::from_micros(micros) + SHED_LATELY,
        }
    }

    /// A connection that worked is gone.
    pub(super) fn is_lost(&self) {
        self.n_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that happened.
    pub fn n_lost(&self) -> u64 {
        self.n_lost.load(Ordering::Relaxed)
    }

    /// A call has waited for far longer than calls to it take. Whoever is interested is asked to look after it.
    pub fn is_overdue(&self) {
        self.silent.store(true, Ordering::Relaxed);
        self.doubt.notify_one();
    }

    /// It answered something, no matter what.
    pub fn is_heard(&self) {
        // Read first: this is on every call's way, and almost never needed.
        if self.is_silent() {
            self.silent.store(false, Ordering::Relaxed);
        }
    }

    /// Does it leave a call unanswered, and has said nothing since? New calls are better off elsewhere: a stopped process
    /// takes them and keeps them.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// It does not answer questions about itself either.
    pub(super) fn is_unresponsive(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// Resolves when a call has been waiting for too long.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shed_call_is_remembered_for_a_second() {
        let history = History::new(Duration::from_millis(5));
        assert!(!history.sheds(Instant::now()));
        history.has_shed(Instant::now());
        assert!(history.sheds(Instant::now() + Duration::from_millis(999)));
        assert!(!history.sheds(Instant::now() + Duration::from_millis(1_001)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_at_once_and_ends_with_any_answer() {
        let history = History::new(Duration::from_millis(5));
        history.is_overdue();
        history.doubted().await;
        assert!(history.is_silent());
        history.is_heard();
        assert!(!history.is_silent());
    }
}
