//! Counts what becomes of a version's calls, for whoever compares it with another version.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nanogrid_rollout::Tally;

/// One version's calls since somebody last looked. Counting neither locks nor allocates.
#[derive(Debug, Default)]
pub struct Arm {
    answered: AtomicU64,
    failed: AtomicU64,
    invalid: AtomicU64,
    timed: AtomicU64,
    slow: AtomicU64,
    /// Microseconds; 0 = times are not looked at.
    slow_above: AtomicU64,
}

/// What an [`Arm`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bad = no answer, through the version's fault.
    pub errors: Tally,
    /// Bad = slower than the threshold.
    pub slow: Tally,
    /// Answers that are none, among the good ones of `errors`: they were noticed later.
    pub invalid: u64,
}

impl Arm {
    /// An answer, and how long it took.
    pub fn answered(&self, took: Duration) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let slow_above = self.slow_above.load(Ordering::Relaxed);
        if slow_above > 0 {
            self.timed.fetch_add(1, Ordering::Relaxed);
            if took.as_micros() > u128::from(slow_above) {
                self.slow.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// No answer, and it is the version's fault.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer, already counted, was not one of its task, or held what is no number.
    pub fn invalid(&self) {
        self.invalid.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on answers are slow above this; `None` = their times are not looked at.
    pub fn slow_above(&self, limit: Option<Duration>) {
        let micros = limit.map_or(0, |limit| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1));
        self.slow_above.store(micros, Ordering::Relaxed);
    }

    /// Everything since the last time. A call that ends at this moment may be counted partly now and partly next time.
    pub fn take(&self) -> Counts {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let (failed, slow) = (take(&self.failed), take(&self.slow));
        Counts {
            errors: Tally { n: take(&self.answered) + failed, bad: failed },
            // What is slow was timed before; taken after, it cannot be fewer.
            slow: Tally { n: take(&self.timed), bad: slow },
            invalid: take(&self.invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_timed_once_there_is_a_threshold() {
        let arm = Arm::default();
        arm.answered(Duration::from_secs(1));
        arm.slow_above(Some(Duration::from_millis(10)));
        arm.answered(Duration::from_millis(10));
        arm.answered(Duration::from_millis(11));
        let counts = arm.take();
        assert_eq!((counts.errors, counts.slow), (Tally { n: 3, bad: 0 }, Tally { n: 2, bad: 1 }));
        assert_eq!(arm.take(), Counts::default());
    }

    #[test]
    fn failures_and_invalid_answers_are_counted_apart() {
        let arm = Arm::default();
        arm.failed();
        arm.invalid();
        assert_eq!(arm.take(), Counts { errors: Tally { n: 1, bad: 1 }, slow: Tally::default(), invalid: 1 });
    }
}
