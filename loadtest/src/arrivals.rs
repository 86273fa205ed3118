//! When calls of an open loop start: fixed by rate and seed alone, before any answer is seen.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How the gaps between calls are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Independent users: bursts and lulls happen, as in real traffic.
    Exponential,
    /// Evenly spaced: shows the server at its best.
    Constant,
}

/// Endless times since the start of the run, in order.
#[derive(Debug)]
pub struct Arrivals {
    rate: f64,
    distribution: Distribution,
    random: StdRng,
    n_given: u64,
    seconds: f64,
}

impl Arrivals {
    /// `rate` is calls per second and above 0.
    pub fn new(rate: f64, distribution: Distribution, seed: u64) -> Self {
        Self { rate, distribution, random: StdRng::seed_from_u64(seed), n_given: 0, seconds: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.seconds = match self.distribution {
            // Multiplied and not summed up, so that no rounding error grows into drift.
            Distribution::Constant => self.n_given as f64 / self.rate,
            Distribution::Exponential => {
                let uniform: f64 = self.random.random();
                self.seconds - (1.0 - uniform).ln() / self.rate
            }
        };
        self.n_given += 1;
        Duration::try_from_secs_f64(self.seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_arrivals_do_not_drift() {
        let millionth = Arrivals::new(3000.0, Distribution::Constant, 1).nth(3_000_000).unwrap();
        assert_eq!(millionth, Duration::from_secs(1000));
    }

    #[test]
    fn exponential_arrivals_keep_their_rate_and_their_spread() {
        let times: Vec<f64> = Arrivals::new(100.0, Distribution::Exponential, 7)
            .take(100_000)
            .map(|time| time.as_secs_f64())
            .collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 0.01).abs() < 0.0002, "mean: {mean}");
        assert!((variance.sqrt() - mean).abs() < 0.0003, "of an exponential, spread equals mean: {variance}");
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let times = |seed| Arrivals::new(10.0, Distribution::Exponential, seed).take(5).collect::<Vec<_>>();
        assert_eq!(times(3), times(3));
        assert_ne!(times(3), times(4));
    }
}
