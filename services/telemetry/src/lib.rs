//! Traces, logs and metrics: the only user of the OpenTelemetry SDK and of prometheus-client.
//!
//! Traces leave by OTLP; metrics are scraped as OpenMetrics, since OpenTelemetry for Rust records no exemplars
//! and an exemplar is what leads from a slow bucket on a dashboard to the trace of the request in it.

mod error;
mod exporter;
mod init;
pub mod metrics;
pub mod names;
pub mod propagation;

pub use error::Error;
pub use init::{Guard, Options, init};
pub use propagation::{TraceId, trace_id};
