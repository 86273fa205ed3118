//! What the response cache of an expert was good for.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::each;
use crate::metrics::{Registry, label::label};
use crate::names::metric;

label! {
    /// Where an answer came from.
    CacheResult {
        /// Kept from an equal call.
        Hit => "hit",
        /// The expert was asked.
        Miss => "miss",
        /// An equal call was on its way, and its answer served this one as well.
        Shared => "shared",
    }
}

#[derive(Clone, Debug)]
pub(super) struct Caches {
    results: Family<CacheLabels, Counter>,
    bytes: Family<ExpertLabels, Gauge>,
}

/// The response cache of one expert.
#[derive(Debug)]
pub struct CacheMetrics {
    results: Vec<Counter>,
    bytes: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    expert: String,
    result: CacheResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpertLabels {
    expert: String,
}

impl Caches {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            results: registry.register(
                metric::CACHE,
                "Calls to experts whose answers are kept, by where the answer came from",
                Family::default(),
            ),
            bytes: registry.register(metric::CACHE_BYTES, "Bytes of the answers kept", Family::default()),
        }
    }

    pub(super) fn of(&self, expert: &str) -> CacheMetrics {
        CacheMetrics {
            results: each(CacheResult::ALL, |result| {
                self.results.get_or_create_owned(&CacheLabels { expert: expert.to_owned(), result })
            }),
            bytes: self.bytes.get_or_create_owned(&ExpertLabels { expert: expert.to_owned() }),
        }
    }
}

impl CacheMetrics {
    /// A call has an answer from there.
    pub fn answered(&self, result: CacheResult) {
        self.results[result as usize].inc();
    }

    /// So many bytes are kept now.
    pub fn bytes(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
