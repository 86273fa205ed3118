//! What calls to one expert may cost beyond a first try each. Kept through reloads of the grid file: a storm does not end
//! because a weight has changed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nanogrid_resilience::{Budget, Criticality, Throttle};
use nanogrid_telemetry::metrics::DispatchMetrics;
use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub struct Allowance {
    /// For tries after a failed one.
    pub retries: Budget,
    /// For second endpoints beside a slow one.
    pub hedges: Budget,
    /// By criticality, in the order of [`Criticality::ALL`]: an expert that sheds the unimportant still takes the rest.
    throttles: [Throttle; 4],
    /// Counts all of it.
    pub metrics: DispatchMetrics,
    told: Mutex<Option<Instant>>,
}

/// A degraded mode that lasts is told as often as someone looks, not once per call.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl Allowance {
    pub(super) fn new(metrics: DispatchMetrics) -> Self {
        Self {
            retries: Budget::for_retries(),
            hedges: Budget::for_hedges(),
            throttles: Criticality::ALL.map(|_class| Throttle::new()),
            metrics,
            told: Mutex::default(),
        }
    }

    /// Has a degraded answer not been told of lately? Then it has now.
    pub fn is_news(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if is_news {
            *told = Some(Instant::now());
        }
        is_news
    }

    /// Keeps calls of this class here when most of them would be shed there.
    pub fn throttle(&self, class: Criticality) -> &Throttle {
        &self.throttles[class as usize]
    }
}
