//! How many requests a server works on at once, found by watching it: too few leave it idle, too many wait inside it.
//!
//! The limit follows gradient2 of Netflix's concurrency-limits: it grows while answers take no longer than the work in them,
//! and shrinks by the quotient when they take longer. What differs, and why:
//!
//! - Gradient2 guesses the time without waiting from a long average, which learns the congestion it should notice: under
//!   steady overload it drifts upwards. Our workers tell how long the work itself took, so each answer is held against its
//!   own work. That also makes long inputs no congestion, and no buckets by input size are needed.
//! - It adds room for a queue only where there is no congestion; gradient2 adds it always, and so creeps.
//! - A missed deadline shrinks it. Gradient2 looks at successes alone, and climbs while everything times out
//!   (concurrency-limits#137, #176).
//! - It may fall to 1. Netflix's least, 20, means nothing to a thread that runs one batch at a time.

use std::time::Duration;

/// Between what, and from where on, a limit moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Before anything is known.
    pub initial: usize,
    /// It never falls below; at least 1.
    pub least: usize,
    /// It never rises above.
    pub most: usize,
}

/// The limit. A value: whoever holds it counts what is in flight.
#[derive(Clone, Debug)]
pub struct Limiter {
    settings: LimitSettings,
    limit: f64,
    window: Window,
    measured: Option<Measured>,
}

/// What the last windows said.
#[derive(Clone, Copy, Debug)]
struct Measured {
    own: Duration,
    quickest: Duration,
    each: Duration,
}

/// Answers are judged ten at a time: one alone says more about the moment it arrived in than about the load.
#[derive(Clone, Debug, Default)]
struct Window {
    n_samples: u32,
    n_succeeded: u32,
    missed: bool,
    most_in_flight: usize,
    in_flight: usize,
    took: Duration,
    own: Duration,
    quickest: Option<Duration>,
}

/// As many as Netflix's least window.
const WINDOW: u32 = 10;
/// A job may wait for the run before its own, and has its own: that is two. The half is for the way between threads. With
/// gradient2's 1.5 less than two batches fit in, and the next one is never complete when a run ends.
const TOLERANCE: f64 = 2.5;
/// The way through channels, threads and the runtime, which is no congestion: without it the limit of a model that takes
/// 20 microseconds would fall to 1 because of two wake-ups.
const HAND_OVER: Duration = Duration::from_millis(1);
/// How much of a change is made at once, as gradient2 has it.
const SMOOTHING: f64 = 0.2;
/// At most halved, however bad a window was.
const LEAST_GRADIENT: f64 = 0.5;
/// What a window with a missed deadline leaves of the limit, as AIMD limits do.
const AFTER_MISS: f64 = 0.9;

impl Limiter {
    /// At its initial value. What does not fit together is moved to fit: `least` to 1, `most` to `least`, `initial` between.
    pub fn new(settings: LimitSettings) -> Self {
        let least = settings.least.max(1);
        let most = settings.most.max(least);
        let initial = settings.initial.clamp(least, most);
        let settings = LimitSettings { initial, least, most };
        Self { settings, limit: initial as f64, window: Window::default(), measured: None }
    }

    /// How many may be in flight now.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// One was answered after `took`, of which `own` was its work. `in_flight` counts it.
    pub fn succeeded(&mut self, took: Duration, own: Duration, in_flight: usize) {
        let window = &mut self.window;
        window.n_samples += 1;
        window.n_succeeded += 1;
        window.most_in_flight = window.most_in_flight.max(in_flight);
        window.in_flight += in_flight;
        window.took += took;
        window.own += own;
        window.quickest = Some(window.quickest.map_or(own, |quickest| quickest.min(own)));
        self.judge();
    }

    /// One could not be answered in a time that should have been enough.
    pub fn missed(&mut self) {
        self.window.n_samples += 1;
        self.window.missed = true;
        self.judge();
    }

    /// The time that the work itself takes, on average.
    pub fn own(&self) -> Option<Duration> {
        self.measured.map(|measured| measured.own)
    }

    /// The least time that the work was seen to take lately: who has less left than this has no chance.
    pub fn quickest(&self) -> Option<Duration> {
        self.measured.map(|measured| measured.quickest)
    }

    /// The time between two answers at the load of now, by Little's law: how fast a queue drains.
    pub fn each(&self) -> Option<Duration> {
        self.measured.map(|measured| measured.each)
    }

    /// The longest time, with waiting, that is no congestion for work that takes `own`.
    pub fn tolerated(own: Duration) -> Duration {
        (own + HAND_OVER).mul_f64(TOLERANCE)
    }

    fn judge(&mut self) {
        if self.window.n_samples < WINDOW {
            return;
        }
        let window = std::mem::take(&mut self.window);
        if window.n_succeeded > 0 {
            self.measure(&window);
        }
        let next = if window.missed {
            self.limit * AFTER_MISS
        } else if (window.most_in_flight as f64) < self.limit / 2.0 {
            // Less was asked for than is allowed, so nothing was learnt about the limit.
            self.limit
        } else {
            let tolerated = Self::tolerated(window.own / window.n_succeeded) * window.n_succeeded;
            let gradient = tolerated.as_secs_f64() / window.took.as_secs_f64().max(f64::MIN_POSITIVE);
            let gradient = gradient.clamp(LEAST_GRADIENT, 1.0);
            let queue = if gradient < 1.0 { 0.0 } else { self.limit.sqrt() };
            self.limit * (1.0 - SMOOTHING) + (self.limit * gradient + queue) * SMOOTHING
        };
        self.limit = next.clamp(self.settings.least as f64, self.settings.most as f64);
    }

    fn measure(&mut self, window: &Window) {
        let own = window.own / window.n_succeeded;
        let each = window.took / u32::try_from(window.in_flight).unwrap_or(u32::MAX).max(1);
        let lowest = window.quickest.unwrap_or(own);
        self.measured = Some(match self.measured {
            None => Measured { own, each, quickest: lowest },
            Some(before) => Measured {
                own: smooth(before.own, own),
                each: smooth(before.each, each),
                // Down at once and up slowly: believed too long, it would cost somebody an answer.
                quickest: lowest.min(before.quickest.mul_f64(1.1)),
            },
        });
    }
}

fn smooth(before: Duration, now: Duration) -> Duration {
    before.mul_f64(1.0 - SMOOTHING) + now.mul_f64(SMOOTHING)
}
