//! What can be wrong with the telemetry settings. A collector that is down is none of these.

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter does not parse.
    #[error("log filter: {source}; write it like `info` or `info,nanogrid_router=debug`: `{filter}`")]
    Filter {
        /// As given.
        filter: String,
        /// What the parser said.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The OTLP endpoint is not one.
    #[error("OTLP endpoint: {problem}; write it like `http://127.0.0.1:4317`: `{endpoint}`")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The share of traces to keep is not a share.
    #[error("sampling ratio: must be from 0 to 1: {ratio}")]
    Sample {
        /// As given.
        ratio: f64,
    },
    /// A process has one log and one tracer.
    #[error("telemetry was already set up in this process: call `init` once, in `main`")]
    AlreadySet,
}
