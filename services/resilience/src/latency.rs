//! How long answers take: quantiles of the last minute, in microseconds, for decisions on the hot path.

use std::time::Duration;

/// Quantiles over a sliding window.
#[derive(Debug)]
pub struct Latency {}

impl Latency {
    /// `None` is answered to every question until the window holds `least` samples.
    pub fn new(least: u32) -> Self {
        let _ = least;
        unimplemented!()
    }

    /// An answer took this long.
    pub fn record(&self, took: Duration) {
        let _ = took;
        unimplemented!()
    }

    /// What one answer in ten is faster than.
    pub fn p10(&self) -> Option<Duration> {
        unimplemented!()
    }

    /// The median.
    pub fn p50(&self) -> Option<Duration> {
        unimplemented!()
    }

    /// What 95 % of the answers are faster than.
    pub fn p95(&self) -> Option<Duration> {
        unimplemented!()
    }

    /// What 99 % of the answers are faster than.
    pub fn p99(&self) -> Option<Duration> {
        unimplemented!()
    }

    /// The time that the given share of the answers (0 to 1) is faster than. As cheap as the others as long as the share
    /// stays the same.
    pub fn at(&self, quantile: f32) -> Option<Duration> {
        let _ = quantile;
        unimplemented!()
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new(100)
    }
}
