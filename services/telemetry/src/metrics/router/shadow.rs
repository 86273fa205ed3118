//! Copies of live calls to a version that is being tried, and how its answers compare.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::each;
use crate::metrics::{Registry, label::label};
use crate::names::metric;

label! {
    /// What became of a copy.
    ShadowResult {
        /// Answered as the live call was.
        Agreed => "agreed",
        /// Answered otherwise.
        Differed => "differed",
        /// Not answered.
        Failed => "failed",
        /// Answered with something that is no answer.
        Invalid => "invalid",
        /// Not made, or refused by an expert with too much to do: it says nothing.
        Dropped => "dropped",
        /// Another endpoint of the live version answered the same.
        FloorAgreed => "floor_agreed",
        /// Another endpoint of the live version answered otherwise.
        FloorDiffered => "floor_differed",
    }
}

#[derive(Clone, Debug)]
pub(super) struct Shadows {
    results: Family<ShadowLabels, Counter>,
    ratios: Family<ExpertLabels, Histogram, fn() -> Histogram>,
}

/// The copies of one expert's calls; cheap to clone and to hold.
#[derive(Clone)]
pub struct ShadowMetrics(Arc<PerExpert>);

struct PerExpert {
    results: Vec<Counter>,
    ratio: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShadowLabels {
    expert: String,
    result: ShadowResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpertLabels {
    expert: String,
}

/// Twice as quick is as far from equal as twice as slow.
const RATIO_BUCKETS: [f64; 13] = [0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0, 10.0];

impl Shadows {
    pub(super) fn new(registry: &Registry) -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(RATIO_BUCKETS);
        Self {
            results: registry.register(
                metric::SHADOW,
                "Copies of live calls to a version that is being tried, by what became of them",
                Family::default(),
            ),
            ratios: registry.register(
                metric::SHADOW_LATENCY_RATIO,
                "Time of copies as multiples of the live call's",
                Family::new_with_constructor(new_histogram),
            ),
        }
    }

    pub(super) fn of(&self, expert: &str) -> ShadowMetrics {
        ShadowMetrics(Arc::new(PerExpert {
            results: each(ShadowResult::ALL, |result| {
                self.results.get_or_create_owned(&ShadowLabels { expert: expert.to_owned(), result })
            }),
            ratio: self.ratios.get_or_create_owned(&ExpertLabels { expert: expert.to_owned() }),
        }))
    }
}

impl ShadowMetrics {
    /// A copy has come to this.
    pub fn ended(&self, result: ShadowResult) {
        self.0.results[result as usize].inc();
    }

    /// A copy took so many times as long as the live call.
    pub fn took(&self, ratio: f64) {
        self.0.ratio.observe(ratio);
    }
}

impl fmt::Debug for ShadowMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowMetrics").finish_non_exhaustive()
    }
}
