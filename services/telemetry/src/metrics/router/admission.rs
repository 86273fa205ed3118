//! How much the router has taken on, and what it refused.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::each;
use crate::metrics::{Criticality, Registry, label::label};
use crate::names::metric;

label! {
    /// Why the router refused a request.
    ShedReason {
        /// As many are being answered as this criticality may have.
        InFlight => "in_flight",
        /// The requests being read and answered hold as many bytes as they may.
        Bytes => "bytes",
    }
}

/// What the router has taken on; cheap to clone and to hold.
#[derive(Clone, Debug)]
pub struct AdmissionMetrics {
    in_flight: Gauge,
    limit: Gauge,
    bytes: Gauge,
    // Indexed by criticality, then by reason.
    shed: Vec<Vec<Counter>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShedLabels {
    criticality: Criticality,
    reason: ShedReason,
}

impl AdmissionMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let shed = registry.register(
            metric::SHED,
            "Requests refused to stay healthy",
            Family::<ShedLabels, Counter>::default(),
        );
        Self {
            in_flight: registry.register(
                metric::REQUESTS_IN_FLIGHT,
                "Requests being answered now",
                Gauge::default(),
            ),
            limit: registry.register(
                metric::REQUESTS_LIMIT,
                "Requests that may be answered at the same time",
                Gauge::default(),
            ),
            bytes: registry.register(
                metric::REQUEST_BYTES,
                "Bytes of the requests being read and answered now",
                Gauge::default(),
            ),
            shed: each(Criticality::ALL, |criticality| {
                each(ShedReason::ALL, |reason| shed.get_or_create_owned(&ShedLabels { criticality, reason }))
            }),
        }
    }

    /// So many requests may be answered at the same time.
    pub fn limit(&self, limit: usize) {
        self.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// One more request (1), or one less (-1).
    pub fn in_flight(&self, change: i64) {
        self.in_flight.inc_by(change);
    }

    /// So many bytes more, or less.
    pub fn bytes(&self, change: i64) {
        self.bytes.inc_by(change);
    }

    /// A request was refused.
    pub fn shed(&self, criticality: Criticality, reason: ShedReason) {
        self.shed[criticality as usize][reason as usize].inc();
    }
}
