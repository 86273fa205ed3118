//! What a call to an endpoint would cost, seen from here: how long it took lately, times who is waiting already.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

/// The load of one endpoint: a peak-sensitive moving average of its answers' times, with a penalty for failures.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {}

/// A call on its way. Dropped without a result it is no sample, and no longer counts as waiting.
#[must_use = "a call counts as waiting only as long as this is held"]
#[derive(Debug)]
pub struct Pending {
    shared: Arc<Shared>,
}

/// What a failure counts as, given the median of the pool's answer times and the wait that the endpoint asked for.
pub fn penalty(pool_median: Duration, pushback: Option<Duration>) -> Duration {
    let _ = (pool_median, pushback);
    unimplemented!()
}

impl Load {
    /// An endpoint that is expected to answer within `initial`: the pool's median, so that it is neither starved nor flooded.
    pub fn new(initial: Duration) -> Self {
        let _ = initial;
        unimplemented!()
    }

    /// A call begins.
    pub fn start(&self) -> Pending {
        Pending { shared: self.shared.clone() }
    }

    /// Begins the slow start: from here the endpoint takes a tenth of its share, and all of it 10 s later.
    pub fn warm_from(&self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// The share of its usual traffic that it should take, above 0 and up to 1.
    pub fn warmth(&self, now: Instant) -> f32 {
        let _ = now;
        unimplemented!()
    }

    /// What a call would cost, in microseconds: only good for comparing endpoints of the same pool.
    pub fn cost(&self, now: Instant) -> f32 {
        let _ = now;
        unimplemented!()
    }

    /// How long answers take: successful ones only, without penalties. What a pool's median is made of.
    pub fn rtt(&self) -> Duration {
        unimplemented!()
    }

    /// Calls on their way.
    pub fn pending(&self) -> u32 {
        unimplemented!()
    }
}

impl Pending {
    /// An answer came, after `rtt`.
    pub fn succeeded(self, rtt: Duration) {
        let _ = rtt;
        unimplemented!()
    }

    /// The call failed: counts like an answer after [`penalty`].
    pub fn failed(self, penalty: Duration) {
        let _ = penalty;
        unimplemented!()
    }

    /// The caller left after waiting this long (a lost hedge, a deadline). An answer would have taken at least that, so the
    /// cost rises to it if it was lower; the answer times stay.
    pub fn left(self, after: Duration) {
        let _ = after;
        unimplemented!()
    }
}
