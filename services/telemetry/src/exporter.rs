//! Spans on their way to the collector, which may be down: then they are lost, counted, and spoken of once.
//!
//! The SDK would log an error for every batch. One `warn!` when delivery stops and one `info!` when it works
//! again say as much, and the counter says how much is missing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// One per process, as is the tracer it counts for.
static SPANS_LOST: AtomicU64 = AtomicU64::new(0);

/// Spans that no collector took, since the start of the process.
pub(crate) fn spans_lost() -> u64 {
    SPANS_LOST.load(Ordering::Relaxed)
}

#[derive(Debug)]
pub(crate) struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    endpoint: String,
    failing: AtomicBool,
}

impl Exporter {
    pub(crate) fn new(inner: opentelemetry_otlp::SpanExporter, endpoint: String) -> Self {
        Self { inner, endpoint, failing: AtomicBool::new(false) }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let endpoint = self.endpoint.as_str();
        match self.inner.export(batch).await {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(endpoint, "traces are delivered again");
                }
            }
            Err(error) => {
                SPANS_LOST.fetch_add(spans, Ordering::Relaxed);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(endpoint, %error, "traces are not delivered: is the collector running?");
                }
            }
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
