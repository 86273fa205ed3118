//! The tables `[server]` and `[telemetry]`, which router and expert share.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;

use crate::setting;

/// `[server]`: where to listen and how to stop.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServerSettings {
    /// gRPC; port 0 = any free one.
    pub listen: SocketAddr,
    /// Metrics and probes over HTTP; port 0 = any free one.
    pub ops: SocketAddr,
    /// Largest message read or written, in bytes.
    pub max_message: usize,
    /// What happens between SIGTERM and the end.
    pub drain: DrainSettings,
}

/// `[server.drain]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DrainSettings {
    /// Unready but still answering, until every client has noticed.
    #[serde(deserialize_with = "setting::duration")]
    pub serve_on: Duration,
    /// After this the process ends whatever is still running.
    #[serde(deserialize_with = "setting::duration")]
    pub hard_stop: Duration,
}

/// `[telemetry]`: traces and logs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TelemetrySettings {
    /// Where traces go, e.g. `http://127.0.0.1:4317`; absent = no export.
    #[serde(deserialize_with = "setting::http_url")]
    pub otlp_endpoint: Option<String>,
    /// Share of new traces that are recorded, 0 to 1; a caller's decision is followed.
    #[serde(deserialize_with = "setting::fraction")]
    pub sample: f64,
    /// Filter of log lines in the syntax of `RUST_LOG`, e.g. `info,nanogrid_router=debug`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8001)),
            ops: SocketAddr::from((Ipv4Addr::LOCALHOST, 8002)),
            max_message: 64 << 20,
            drain: DrainSettings::default(),
        }
    }
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { serve_on: Duration::from_secs(3), hard_stop: Duration::from_secs(20) }
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample: 1.0, log: "info".to_owned(), log_format: LogFormat::Text }
    }
}

impl TryFrom<String> for LogFormat {
    type Error = &'static str;

    fn try_from(format: String) -> Result<Self, Self::Error> {
        match format.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be `text` or `json`"),
        }
    }
}
