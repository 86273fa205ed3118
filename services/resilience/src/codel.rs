//! When is a queue too long? Not when many wait, a burst is gone in a moment, but when it does not go away: a queue that
//! has not been empty for a whole interval is no burst, it is more work than the server can do. From then on whoever
//! waited longer than the target is given up, and the newest are served first: they are the ones who still wait for an
//! answer that is worth something, while the oldest will soon not.
//!
//! This is CoDel as it suits requests, who can be told no: "Fail at Scale" (Maurer, ACM Queue 2015), with its 100 ms and
//! 5 ms. There the times are fixed; here the target is never below what the work itself calls for, because the queue of a
//! model that takes 50 ms moves only every 50 ms, and would otherwise look stuck to everyone in it.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a queue stands still. A value on tokio's clock.
#[derive(Clone, Debug)]
pub struct CoDel {
    target: Duration,
    last_empty: Instant,
}

/// The least target of "Fail at Scale".
pub const TARGET: Duration = Duration::from_millis(5);
/// Intervals are so many targets long, as CoDel's own are: 100 ms for 5 ms.
const TARGETS_PER_INTERVAL: u32 = 20;

impl CoDel {
    /// An empty queue in which nobody should wait longer than `target`, once it no longer empties.
    pub fn new(target: Duration) -> Self {
        Self { target, last_empty: Instant::now() }
    }

    /// Nobody waits.
    pub fn empty(&mut self, now: Instant) {
        self.last_empty = now;
    }

    /// Has the queue stood for a whole interval? `tolerated` is the wait that the work itself calls for.
    pub fn is_overloaded(&self, now: Instant, tolerated: Duration) -> bool {
        now.duration_since(self.last_empty) > self.interval(tolerated)
    }

    /// How long a queue may stand before it counts as one that will not go away.
    pub fn interval(&self, tolerated: Duration) -> Duration {
        self.target(tolerated) * TARGETS_PER_INTERVAL
    }

    /// How long one may wait in a queue that does not go away.
    pub fn target(&self, tolerated: Duration) -> Duration {
        self.target.max(tolerated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_empties_now_and_then_is_no_overload() {
        let mut codel = CoDel::new(TARGET);
        for _ in 0..10 {
            tokio::time::advance(Duration::from_millis(99)).await;
            assert!(!codel.is_overloaded(Instant::now(), NONE));
            codel.empty(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stands_for_an_interval_is_overload_until_it_is_empty() {
        let mut codel = CoDel::new(TARGET);
        tokio::time::advance(Duration::from_millis(101)).await;
        assert!(codel.is_overloaded(Instant::now(), NONE));
        codel.empty(Instant::now());
        assert!(!codel.is_overloaded(Instant::now(), NONE));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_work_stretches_the_target_and_the_interval() {
        let codel = CoDel::new(TARGET);
        let slow = Duration::from_millis(50);
        assert_eq!((codel.target(NONE), codel.target(slow)), (TARGET, slow));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(!codel.is_overloaded(Instant::now(), slow));
    }
}
