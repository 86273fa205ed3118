//! How long to wait before the next try. Doubling keeps a dead peer cheap; jitter keeps many who wait for the same peer
//! from coming back at the same moment.
//!
//! The jitter is the "equal" one of "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015): half of the step stays.
//! Full jitter, there and in gRFC A6, spreads retried calls best, but may wait for next to nothing, and what waits here are
//! reconnections and restarts of processes. It is a value without state: whoever counts the failures starts again at 0
//! after a success, and there is nothing to reset.

use std::time::Duration;

use rand::Rng;

/// Waits that double from one failure to the next, up to a longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits about `first` after the first failure, and never longer than `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The wait after `failures` earlier failures in a row: between half of the step and all of it, so that it is neither
    /// in step with others nor next to nothing.
    pub fn delay(&self, failures: u32) -> Duration {
        self.delay_with(failures, &mut rand::rng())
    }

    /// Like [`Self::delay`], with randomness that can be seeded.
    pub fn delay_with(&self, failures: u32, random: &mut impl Rng) -> Duration {
        let step = self.first.saturating_mul(2_u32.saturating_pow(failures)).min(self.longest);
        step.mul_f64(random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

    #[test]
    fn the_same_seed_gives_the_same_waits_and_another_one_others() {
        let delays = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            (0..8).map(|failures| BACKOFF.delay_with(failures, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }

    proptest! {
        #[test]
        fn lies_between_half_the_step_and_all_of_it(failures: u32, seed: u64) {
            let delay = BACKOFF.delay_with(failures, &mut StdRng::seed_from_u64(seed));
            let step = Duration::from_millis(10 << failures.min(7)).min(Duration::from_secs(1));
            prop_assert!(delay <= step && delay >= step / 2, "{failures} failures: {delay:?}");
        }
    }
}
