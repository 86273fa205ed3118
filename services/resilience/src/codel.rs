//! When is a queue too long? Not when many wait, a burst is gone in a moment, but when it does not go away: a queue that
//! has not been empty for a whole interval, and in which somebody waits longer than the target, is no burst, it is more work
//! than the server can do. From then on, until it is empty, whoever waited longer than the target is given up, and the
//! newest are served first: they are the ones who still wait for an answer that is worth something.
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
    overloaded: bool,
}

/// The least target of "Fail at Scale".
pub const TARGET: Duration = Duration::from_millis(5);
/// Intervals are so many targets long, as CoDel's own are: 100 ms for 5 ms.
const TARGETS_PER_INTERVAL: u32 = 20;
/// So many waits that slow work calls for: a server at four fifths of its capacity has bursts of this length by chance.
const TOLERATED_PER_INTERVAL: u32 = 10;
/// But by then everyone in the queue has missed a usual deadline.
const LONGEST_STRETCH: Duration = Duration::from_secs(1);

impl CoDel {
    /// An empty queue in which nobody should wait longer than `target`, once it no longer empties.
    pub fn new(target: Duration) -> Self {
        Self { target, last_empty: Instant::now(), overloaded: false }
    }

    /// Nobody waits.
    pub fn empty(&mut self, now: Instant) {
        (self.last_empty, self.overloaded) = (now, false);
    }

    /// Somebody waits, the longest of them since `oldest`. `tolerated` is the wait that the work itself calls for.
    pub fn waits(&mut self, oldest: Instant, now: Instant, tolerated: Duration) {
        self.overloaded |= now.duration_since(self.last_empty) > self.interval(tolerated)
            && now.duration_since(oldest) > self.target(tolerated);
    }

    /// Has the queue stood for too long, and not been empty since?
    pub fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// How long a queue may stand before it counts as one that will not go away.
    pub fn interval(&self, tolerated: Duration) -> Duration {
        let stretched = (tolerated * TOLERATED_PER_INTERVAL).min(LONGEST_STRETCH);
        (self.target * TARGETS_PER_INTERVAL).max(stretched)
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

    /// A queue after so many milliseconds in which it was not empty, the longest wait being so long.
    async fn stood(ms: u64, oldest: u64, tolerated: Duration) -> CoDel {
        let mut codel = CoDel::new(TARGET);
        tokio::time::advance(Duration::from_millis(ms)).await;
        let now = Instant::now();
        codel.waits(now - Duration::from_millis(oldest), now, tolerated);
        codel
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_was_empty_lately_is_a_burst() {
        assert!(!stood(100, 100, NONE).await.is_overloaded());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_moves_is_no_overload_however_long_it_has_not_been_empty() {
        assert!(!stood(10_000, 5, NONE).await.is_overloaded());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stands_for_an_interval_is_overload_until_it_is_empty() {
        let mut codel = stood(101, 6, NONE).await;
        assert!(codel.is_overloaded());
        let now = Instant::now();
        codel.waits(now, now, NONE);
        assert!(codel.is_overloaded(), "although the oldest have been given up");
        codel.empty(now);
        assert!(!codel.is_overloaded());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_work_stretches_the_target_and_the_interval() {
        let slow = Duration::from_millis(200);
        assert!(!stood(1000, 201, slow).await.is_overloaded());
        assert!(!stood(1001, 200, slow).await.is_overloaded());
        assert!(stood(1001, 201, slow).await.is_overloaded());
        let less_slow = Duration::from_millis(20);
        assert!(!stood(200, 21, less_slow).await.is_overloaded());
        assert!(stood(201, 21, less_slow).await.is_overloaded());
    }
}
