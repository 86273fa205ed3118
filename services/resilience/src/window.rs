//! What happened lately, as two counters over a window that slides in tenths: the parts that decide by a share (breaker,
//! budgets, throttle) count in the same way and forget in the same way.
//!
//! Ten full slots and the one being filled: so at least the whole window is seen at any moment, and a limit "per window"
//! holds for any window, wherever it begins.

use std::time::Duration;

use tokio::time::Instant;

/// Ten, as in gRFC A6's and tower's budgets: the window moves in steps small enough that nobody waits for one.
const STEPS: u64 = 10;
const SLOTS: usize = STEPS as usize + 1;

/// Two counters over the last `length`.
#[derive(Debug)]
pub(crate) struct Window {
    born: Instant,
    length: Duration,
    slots: [[u32; 2]; SLOTS],
    sum: [u32; 2],
    /// Steps since `born` of the slot that is being filled.
    newest: u64,
}

impl Window {
    pub(crate) fn new(length: Duration) -> Self {
        Self { born: Instant::now(), length, slots: [[0; 2]; SLOTS], sum: [0; 2], newest: 0 }
    }

    /// Both counters as of `now`.
    pub(crate) fn sums(&mut self, now: Instant) -> [u32; 2] {
        self.turn(now);
        self.sum
    }

    /// Adds to the counters, and returns them as of `now`.
    pub(crate) fn add(&mut self, now: Instant, amounts: [u32; 2]) -> [u32; 2] {
        self.turn(now);
        let slot = &mut self.slots[(self.newest % SLOTS as u64) as usize];
        for ((slot, sum), amount) in slot.iter_mut().zip(&mut self.sum).zip(amounts) {
            // Both saturate alike, so that a sum is never smaller than what leaves it.
            let amount = amount.min(u32::MAX - *sum);
            *slot += amount;
            *sum += amount;
        }
        self.sum
    }

    /// Takes back one of the second counter, where the newest slot still has one.
    pub(crate) fn take_back(&mut self, now: Instant) {
        self.turn(now);
        let slot = &mut self.slots[(self.newest % SLOTS as u64) as usize];
        if slot[1] > 0 {
            slot[1] -= 1;
            self.sum[1] -= 1;
        }
    }

    /// Forgets everything, and slides over `length` from now on.
    pub(crate) fn restart(&mut self, length: Duration) {
        *self = Self::new(length);
    }

    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// Empties the slots that have left the window. A `now` from before another thread's counts for the newest slot.
    fn turn(&mut self, now: Instant) {
        // Whole milliseconds in 64 bits: a division of 128 bits would be the dearest thing here.
        let step = (millis(self.length) / STEPS).max(1);
        let current = millis(now.saturating_duration_since(self.born)) / step;
        if current <= self.newest {
            return;
        }
        let stale = (current - self.newest).min(SLOTS as u64);
        for step in current + 1 - stale..=current {
            let slot = &mut self.slots[(step % SLOTS as u64) as usize];
            for (slot, sum) in slot.iter_mut().zip(&mut self.sum) {
                *sum -= std::mem::take(slot);
            }
        }
        self.newest = current;
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_secs() * 1_000 + u64::from(duration.subsec_millis())
}
