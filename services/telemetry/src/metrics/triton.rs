//! Counters that are named as Triton names them, so that its dashboards and tools read ours.
//!
//! OpenMetrics puts `_total` behind the name of a counter, and Triton's names have none. So these are declared
//! as `unknown`, for which OpenMetrics asks no suffix: Prometheus stores them under the exact name, and `rate()`
//! does not look at the type.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Only goes up.
#[derive(Clone, Debug, Default)]
pub(super) struct TritonCounter(Arc<AtomicU64>);

impl TritonCounter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// In microseconds, rounded: a nano model's stages are a few of them, and cutting would lose percents.
    pub(super) fn add_us(&self, elapsed: Duration) {
        self.add(u64::try_from((elapsed.as_nanos() + 500) / 1000).unwrap_or(u64::MAX));
    }
}

impl TypedMetric for TritonCounter {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for TritonCounter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        // A gauge is what the text encoder writes without a suffix; the type line says `unknown`.
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
