//! What a call to an endpoint would cost, seen from here: how long answers took lately, times the calls already waiting.
//!
//! A peak-sensitive average alone *attracts* calls to an endpoint that fails fast, since nobody answers sooner than one that
//! does nothing. So a failure counts like an answer that took far longer than the pool needs ([`penalty`]). And an average
//! that begins high starves a new endpoint for as long as it takes to decay, so it begins at the pool's median.
//!
//! Everything is an atomic word of its own: readers and writers never wait for each other, and the few nanoseconds in which
//! the words do not fit together cost nothing but a slightly worse pick.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How long a sample counts: after it, 37 % are left. Calls come back to an endpoint that failed after
/// `DECAY * ln(PENALTY)`, which is 6 s; the 10 s usual elsewhere, with a penalty of 5 s, would keep them away for over a
/// minute from an endpoint that needs 2 ms.
const DECAY: Duration = Duration::from_secs(2);
/// A failure counts like an answer that took this many times the pool's median. Relative, since no fixed time suits both a
/// model of 1 ms and one of 500 ms.
const PENALTY: u32 = 20;
/// Longer than this no endpoint may ask to be left alone.
const LONGEST_PENALTY: Duration = Duration::from_secs(300);
/// The first runs of a new process are slow (caches, allocator, page faults), so it takes a tenth of its share at first
/// and all of it after ten seconds; both as Istio's and Envoy's warm-up.
const COLD_SHARE: f32 = 0.1;
const WARM_UP: Duration = Duration::from_secs(10);
/// No estimate is smaller, or calls that wait would not count on an endpoint that was idle.
const LEAST_MICROS: f32 = 1.0;

/// What a first endpoint is expected to need, when there is no pool to take the median of. All members of a new pool begin
/// alike, so it need not be near.
pub const INITIAL: Duration = Duration::from_millis(5);

/// What a failure counts as, given the median of the pool's answer times and the wait that the endpoint asked for.
pub fn penalty(pool_median: Duration, pushback: Option<Duration>) -> Duration {
    pool_median.saturating_mul(PENALTY).max(pushback.unwrap_or_default()).min(LONGEST_PENALTY)
}

/// The load of one endpoint: a peak-sensitive moving average of its answers' times, with a penalty for failures.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    born: Instant,
    /// Answer times and penalties: jumps up, decays.
    peak: Estimate,
    /// Times of successful answers only, as a plain average. Were penalties in it, a pool where most fail would multiply
    /// its median by the penalty with every failure.
    rtt: Estimate,
    /// Milliseconds from `born` to the beginning of the slow start, plus one; 0 if there is none.
    warm_from: AtomicU64,
    pending: AtomicU32,
}

/// A call on its way. Dropped without a result it is no sample, and no longer counts as waiting.
#[must_use = "a call counts as waiting only as long as this is held"]
#[derive(Debug)]
pub struct Pending {
    shared: Arc<Shared>,
}

impl Load {
    /// An endpoint that is expected to answer within `initial`: the pool's median, so that it is neither starved nor flooded.
    pub fn new(initial: Duration) -> Self {
        let shared = Shared {
            born: Instant::now(),
            peak: Estimate::new(initial),
            rtt: Estimate::new(initial),
            warm_from: AtomicU64::new(0),
            pending: AtomicU32::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A call begins.
    pub fn start(&self) -> Pending {
        self.shared.pending.fetch_add(1, Ordering::Relaxed);
        Pending { shared: Arc::clone(&self.shared) }
    }

    /// Expects answers within `initial` from now on, whatever was seen before: the pool's median, known only when the
    /// endpoint becomes ready.
    pub fn expect(&self, now: Instant, initial: Duration) {
        let now = self.shared.millis(now);
        let initial = micros(initial);
        self.shared.peak.update(now, |_, _| initial);
        self.shared.rtt.update(now, |_, _| initial);
    }

    /// Begins the slow start: from here the endpoint takes a tenth of its share, and all of it 10 s later.
    pub fn warm_from(&self, now: Instant) {
        self.shared.warm_from.store(self.shared.millis(now) + 1, Ordering::Relaxed);
    }

    /// The share of its usual traffic that it should take, above 0 and up to 1.
    pub fn warmth(&self, now: Instant) -> f32 {
        match self.shared.warm_from.load(Ordering::Relaxed) {
            0 => 1.0,
            since => {
                let warmed = self.shared.millis(now).saturating_sub(since - 1) as f32;
                let progress = (warmed / WARM_UP.as_millis() as f32).min(1.0);
                COLD_SHARE + (1.0 - COLD_SHARE) * progress
            }
        }
    }

    /// What a call would cost, in microseconds: only good for comparing endpoints of the same pool.
    pub fn cost(&self, now: Instant) -> f32 {
        self.shared.peak.decayed(self.shared.millis(now)).max(LEAST_MICROS) * (self.pending() as f32 + 1.0)
    }

    /// How long answers take: successful ones only, without penalties. What a pool's median is made of.
    pub fn rtt(&self) -> Duration {
        Duration::from_secs_f32(self.shared.rtt.value() / 1e6)
    }

    /// Calls on their way.
    pub fn pending(&self) -> u32 {
        self.shared.pending.load(Ordering::Relaxed)
    }
}

impl Pending {
    /// An answer came, after `rtt`.
    pub fn succeeded(self, rtt: Duration) {
        let (sample, now) = (micros(rtt), self.shared.millis(Instant::now()));
        let blend = |value: f32, left: f32| value * left + sample * (1.0 - left);
        self.shared.peak.update(now, |value, left| if sample > value { sample } else { blend(value, left) });
        self.shared.rtt.update(now, blend);
    }

    /// The call failed: counts like an answer after [`penalty`].
    pub fn failed(self, penalty: Duration) {
        self.at_least(penalty);
    }

    /// The caller left after waiting this long (a lost hedge, a deadline). An answer would have taken at least that, so the
    /// cost rises to it if it was lower; the answer times stay.
    pub fn left(self, after: Duration) {
        self.at_least(after);
    }

    fn at_least(&self, time: Duration) {
        let (sample, now) = (micros(time), self.shared.millis(Instant::now()));
        self.shared.peak.update(now, |value, left| (value * left).max(sample));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn millis(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.born);
        elapsed.as_secs() * 1_000 + u64::from(elapsed.subsec_millis())
    }
}

/// A moving average and the time of its last sample, in one word: microseconds as `f32`, then milliseconds as `u32`. These
/// begin again after 49 days; an endpoint that was idle for exactly so long keeps its old average a little longer.
#[derive(Debug)]
struct Estimate(AtomicU64);

impl Estimate {
    fn new(initial: Duration) -> Self {
        Self(AtomicU64::new(Self::pack(micros(initial), 0)))
    }

    fn value(&self) -> f32 {
        Self::unpack(self.0.load(Ordering::Relaxed)).0
    }

    /// The value as it has decayed since its last sample: an endpoint that nobody called for a while is worth a try.
    fn decayed(&self, now: u64) -> f32 {
        let (value, at) = Self::unpack(self.0.load(Ordering::Relaxed));
        value * left(at, now as u32)
    }

    /// Replaces the value by what `next` makes of it and of the share of it that is left after the time since.
    fn update(&self, now: u64, next: impl Fn(f32, f32) -> f32) {
        let now = now as u32;
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (value, at) = Self::unpack(word);
            Some(Self::pack(next(value, left(at, now)), now))
        });
    }

    fn pack(value: f32, at: u32) -> u64 {
        u64::from(value.to_bits()) << 32 | u64::from(at)
    }

    fn unpack(word: u64) -> (f32, u32) {
        (f32::from_bits((word >> 32) as u32), word as u32)
    }
}

fn left(since: u32, now: u32) -> f32 {
    // A `now` from just before another thread's sample must not look like one from 49 days later.
    let elapsed = (now.wrapping_sub(since) as i32).max(0);
    (-(elapsed as f32) / DECAY.as_millis() as f32).exp()
}

fn micros(duration: Duration) -> f32 {
    duration.as_secs_f32() * 1e6
}

#[cfg(test)]
mod tests;
