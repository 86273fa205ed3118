//! Statuses and metadata that router and expert must spell alike, because clients act on them.

use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Metadata keys of requests and replies.
pub mod metadata {
    /// In: requests with the same value see the same version of an expert.
    pub const STICKY: &str = "x-nanogrid-sticky";
    /// In: the version to ask. Out: the version that answered.
    pub const VERSION: &str = "x-nanogrid-version";
    /// In: who is shed first.
    pub const CRITICALITY: &str = "x-nanogrid-criticality";
    /// Out: the expert that answered.
    pub const EXPERT: &str = "x-nanogrid-expert";
    /// Out: the verdict on the request.
    pub const DECISION: &str = "x-nanogrid-decision";
    /// Out: when a refused call may be tried again (gRFC A6); negative = not at all.
    pub const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";
}

/// The request itself is wrong: `field` is named as the client wrote it.
pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {problem}"))
}

/// Refused to stay healthy: nothing is wrong with the request, and it may be sent again after `retry_after`.
pub fn overloaded(what: impl std::fmt::Display, retry_after: Duration) -> Status {
    let mut status = Status::resource_exhausted(format!("{what}: try again in {retry_after:?}"));
    let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    status.metadata_mut().insert(metadata::RETRY_PUSHBACK, MetadataValue::from(millis));
    status
}

/// The client's time is over.
pub fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed: give it more time, or ask for less")
}

/// The gRPC name of a status code, e.g. `DEADLINE_EXCEEDED`.
pub fn name(code: Code) -> &'static str {
    nanogrid_telemetry::names::status_code(code as i32)
}
