//! How long answers take: quantiles of the last seconds, in microseconds, for decisions on the hot path (is there still time
//! for a call, when is it late enough to hedge, was this deadline ever realistic).
//!
//! A histogram answers in microseconds of work, too dear for every call; so four times a second whoever records computes the
//! quantiles, and everybody reads them from atomics. What was not confirmed for a whole window is no longer answered: if
//! callers stay away *because* of a quantile, it must not stand for ever.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::Instant;

/// The window is this slice and the one before: the last 10 to 20 s. Short, since old answer times hold back calls that an
/// expert which was slow could take again; long enough for 100 samples at 10 calls per second.
const SLICE_MILLIS: u64 = 10_000;
/// How old the quantiles may be that are read.
const REFRESH_MILLIS: u64 = 250;
/// Two significant digits: an error of 1 % at most, and a few kilobytes per histogram.
const DIGITS: u8 = 2;
/// Longer ones count as this: no request lasts so long, and a histogram grows with the longest.
const LONGEST_MICROS: u64 = 60_000_000;
/// Fewer say nothing about a p99.
const LEAST_SAMPLES: u32 = 100;
const FIXED: [f32; 4] = [0.1, 0.5, 0.95, 0.99];
/// No duration: longer than [`LONGEST_MICROS`].
const UNKNOWN: u32 = u32::MAX;

/// Quantiles over a sliding window.
#[derive(Debug)]
pub struct Latency {
    born: Instant,
    least: u64,
    /// The values of [`FIXED`].
    fixed: [AtomicU32; FIXED.len()],
    /// A quantile as `f32` and its value, in one word: whoever reads one of them has the other that belongs to it.
    chosen: AtomicU64,
    /// Milliseconds from `born` until which the values stand.
    good_until: AtomicU64,
    samples: Mutex<Samples>,
}

#[derive(Debug)]
struct Samples {
    current: Histogram<u32>,
    previous: Histogram<u32>,
    /// Both, kept so that a refresh need not allocate.
    both: Histogram<u32>,
    /// Which slice since `born` `current` is.
    slice: u64,
    refresh_at: u64,
}

impl Latency {
    /// `None` is the answer to every question until the window holds `least` samples.
    pub fn new(least: u32) -> Self {
        let histogram = || Histogram::new(DIGITS).expect("two digits are allowed");
        Self {
            born: Instant::now(),
            least: least.max(1).into(),
            fixed: [const { AtomicU32::new(UNKNOWN) }; FIXED.len()],
            chosen: AtomicU64::new(pack(FIXED[2], UNKNOWN)),
            good_until: AtomicU64::new(0),
            samples: Mutex::new(Samples {
                current: histogram(),
                previous: histogram(),
                both: histogram(),
                slice: 0,
                refresh_at: 0,
            }),
        }
    }

    /// An answer took this long.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_MICROS);
        let now = self.millis();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.turn(now / SLICE_MILLIS);
        // `saturating_record` would cut to what it has seen so far instead of growing.
        samples.current.record(micros).expect("grows up to the longest");
        let enough = samples.current.len() + samples.previous.len() >= self.least;
        let first = enough && self.fixed[0].load(Ordering::Relaxed) == UNKNOWN;
        if first || now >= samples.refresh_at {
            samples.refresh_at = now + REFRESH_MILLIS;
            self.refresh(&mut samples, enough);
        }
    }

    /// What one answer in ten is faster than.
    pub fn p10(&self) -> Option<Duration> {
        self.fixed(0)
    }

    /// The median.
    pub fn p50(&self) -> Option<Duration> {
        self.fixed(1)
    }

    /// What 95 % of the answers are faster than.
    pub fn p95(&self) -> Option<Duration> {
        self.fixed(2)
    }

    /// What 99 % of the answers are faster than.
    pub fn p99(&self) -> Option<Duration> {
        self.fixed(3)
    }

    /// The time that the given share of the answers (0 to 1) is faster than. As cheap as the others as long as the share
    /// stays the same; another one is computed at once.
    pub fn at(&self, quantile: f32) -> Option<Duration> {
        let (known, micros) = unpack(self.chosen.load(Ordering::Relaxed));
        if known == quantile {
            return self.still_good(micros);
        }
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        self.chosen.store(pack(quantile, UNKNOWN), Ordering::Relaxed);
        samples.turn(self.millis() / SLICE_MILLIS);
        let enough = samples.current.len() + samples.previous.len() >= self.least;
        self.refresh(&mut samples, enough);
        let (_, micros) = unpack(self.chosen.load(Ordering::Relaxed));
        self.still_good(micros)
    }

    fn fixed(&self, i: usize) -> Option<Duration> {
        self.still_good(self.fixed[i].load(Ordering::Relaxed))
    }

    fn still_good(&self, micros: u32) -> Option<Duration> {
        // The clock is asked last: below the least number of samples, there is nothing to ask it for.
        (micros != UNKNOWN && self.millis() < self.good_until.load(Ordering::Relaxed))
            .then(|| Duration::from_micros(micros.into()))
    }

    /// Computes what readers see.
    fn refresh(&self, samples: &mut Samples, enough: bool) {
        samples.merge();
        let value = |quantile: f32| match enough {
            true => samples.both.value_at_quantile(quantile.into()).min(LONGEST_MICROS) as u32,
            false => UNKNOWN,
        };
        for (cell, quantile) in self.fixed.iter().zip(FIXED) {
            cell.store(value(quantile), Ordering::Relaxed);
        }
        let (quantile, _) = unpack(self.chosen.load(Ordering::Relaxed));
        self.chosen.store(pack(quantile, value(quantile)), Ordering::Relaxed);
        let n_slices = if samples.current.is_empty() { 1 } else { 2 };
        self.good_until.store((samples.slice + n_slices) * SLICE_MILLIS, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        let elapsed = self.born.elapsed();
        elapsed.as_secs() * 1_000 + u64::from(elapsed.subsec_millis())
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new(LEAST_SAMPLES)
    }
}

impl Samples {
    /// Makes `slice` the current one, and forgets what is older than the one before.
    fn turn(&mut self, slice: u64) {
        if slice <= self.slice {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.reset();
        if slice > self.slice + 1 {
            self.previous.reset();
        }
        self.slice = slice;
    }

    fn merge(&mut self) {
        self.both.reset();
        for slice in [&self.previous, &self.current] {
            // It grows as needed, so what the slices hold fits as well.
            self.both.add(slice).expect("resizes by itself");
        }
    }
}

fn pack(quantile: f32, micros: u32) -> u64 {
    u64::from(quantile.to_bits()) << 32 | u64::from(micros)
}

fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[cfg(test)]
mod tests;
