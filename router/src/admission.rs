//! How much the router takes on at the same time. Beyond that it refuses at once, the least important first: what it took
//! on it can then answer in time, and its memory has a bound under any load.
//!
//! The limit is a fixed one. An adaptive limit reads from the time of answers how busy a server is; the time of the
//! router's answers is that of whichever experts were asked, two milliseconds or two seconds, and says nothing about the
//! router. Each expert has an adaptive limit of its own; this one is a bound on memory, and on how much can pile up behind
//! experts that stall.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use nanogrid_resilience::Criticality;
use nanogrid_serving::status::metadata;
use nanogrid_telemetry::metrics::{self, AdmissionMetrics, ShedReason};
use tonic::Status;

/// What the router has taken on.
#[derive(Debug)]
pub struct Admission {
    max_requests: usize,
    max_bytes: usize,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    metrics: AdmissionMetrics,
}

/// A request counts for as long as this is held.
#[derive(Debug)]
#[must_use = "a request that is not held is not counted"]
pub struct Admitted<'a> {
    admission: &'a Admission,
    n_bytes: usize,
}

/// Bytes that arrived and are not a whole message yet; they count for as long as this is held.
#[derive(Debug)]
pub struct Arriving {
    admission: Arc<Admission>,
    n_bytes: usize,
}

/// A request was refused; nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shed {
    /// As many are being answered as may be.
    #[error("the router answers {limit} requests of criticality {criticality} and below at the same time")]
    InFlight {
        /// Of the request.
        criticality: Criticality,
        /// Its share of the limit.
        limit: usize,
    },
    /// Those being answered are too large together.
    #[error("the requests that the router is reading and answering hold {limit} bytes, the most they may")]
    Bytes {
        /// In all.
        limit: usize,
    },
}

/// The least and the longest time after which a refused request may be tried again. About what a few experts take: what
/// was in the way has mostly gone by then. Drawn, so that those refused together do not come back together.
const RETRY_AFTER_MS: std::ops::Range<u64> = 50..150;

impl Admission {
    /// At most `max_requests` at the same time, which hold at most `max_bytes`.
    pub fn new(max_requests: usize, max_bytes: usize, metrics: AdmissionMetrics) -> Self {
        metrics.limit(max_requests);
        Self { max_requests, max_bytes, requests: 0.into(), bytes: 0.into(), metrics }
    }

    /// Requests being answered now.
    pub fn in_flight(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that may be answered at the same time.
    pub fn limit(&self) -> usize {
        self.max_requests
    }

    /// Takes on a request, a whole message of `n_bytes`.
    pub fn admit(&self, criticality: Criticality, n_bytes: usize) -> Result<Admitted<'_>, Shed> {
        let limit = criticality.share_of(self.max_requests);
        if !take(&self.requests, 1, limit) {
            return Err(self.shed(criticality, Shed::InFlight { criticality, limit }));
        }
        self.metrics.in_flight(1);
        // From here on the guard gives back what was taken.
        let mut admitted = Admitted { admission: self, n_bytes: 0 };
        if !take(&self.bytes, n_bytes, self.max_bytes) {
            return Err(self.shed(criticality, Shed::Bytes { limit: self.max_bytes }));
        }
        self.metrics.bytes(signed(n_bytes));
        admitted.n_bytes = n_bytes;
        Ok(admitted)
    }

    /// Is there room for a request that has not been read yet, and that may turn out to be as important as `at_most`?
    /// A refusal counts as one of `criticality`, which is what is known of it.
    pub fn has_room(&self, at_most: Criticality, criticality: Criticality) -> Result<(), Shed> {
        let limit = at_most.share_of(self.max_requests);
        if self.in_flight() < limit {
            return Ok(());
        }
        Err(self.shed(criticality, Shed::InFlight { criticality: at_most, limit }))
    }

    fn shed(&self, criticality: Criticality, shed: Shed) -> Shed {
        let reason = match shed {
            Shed::InFlight { .. } => ShedReason::InFlight,
            Shed::Bytes { .. } => ShedReason::Bytes,
        };
        self.metrics.shed(label(criticality), reason);
        shed
    }

    fn give_back(&self, n_bytes: usize) {
        self.bytes.fetch_sub(n_bytes, Ordering::Relaxed);
        self.metrics.bytes(-signed(n_bytes));
    }
}

impl Arriving {
    /// Nothing yet.
    pub fn new(admission: Arc<Admission>) -> Self {
        Self { admission, n_bytes: 0 }
    }

    /// `n_bytes` more have arrived, of a request that is this important as far as is known.
    pub fn more(&mut self, n_bytes: usize, criticality: Criticality) -> Result<(), Shed> {
        let limit = self.admission.max_bytes;
        if !take(&self.admission.bytes, n_bytes, limit) {
            return Err(self.admission.shed(criticality, Shed::Bytes { limit }));
        }
        self.admission.metrics.bytes(signed(n_bytes));
        self.n_bytes += n_bytes;
        Ok(())
    }

    /// All but `n_bytes` have become messages, which count for themselves.
    pub fn only(&mut self, n_bytes: usize) {
        let gone = self.n_bytes.saturating_sub(n_bytes);
        self.n_bytes -= gone;
        self.admission.give_back(gone);
    }
}

impl Shed {
    /// What the client gets: the status, and when to try again.
    pub fn status(self) -> Status {
        let retry_after = Duration::from_millis(rand::random_range(RETRY_AFTER_MS));
        nanogrid_serving::status::overloaded(self, retry_after)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.admission.requests.fetch_sub(1, Ordering::Relaxed);
        self.admission.metrics.in_flight(-1);
        self.admission.give_back(self.n_bytes);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.only(0);
    }
}

/// What metadata say of a request, as far as it can be read. What is wrong with it is told to the client where the request is
/// read as a whole.
pub fn told(headers: &HeaderMap) -> Option<Criticality> {
    headers.get(metadata::CRITICALITY)?.to_str().ok()?.parse().ok()
}

/// Adds `n` unless it becomes more than `limit`.
fn take(taken: &AtomicUsize, n: usize, limit: usize) -> bool {
    let more = |taken: usize| taken.checked_add(n).filter(|taken| *taken <= limit);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

fn signed(n_bytes: usize) -> i64 {
    i64::try_from(n_bytes).unwrap_or(i64::MAX)
}

fn label(criticality: Criticality) -> metrics::Criticality {
    match criticality {
        Criticality::Sheddable => metrics::Criticality::Sheddable,
        Criticality::SheddablePlus => metrics::Criticality::SheddablePlus,
        Criticality::Critical => metrics::Criticality::Critical,
        Criticality::CriticalPlus => metrics::Criticality::CriticalPlus,
    }
}

#[cfg(test)]
mod tests;
