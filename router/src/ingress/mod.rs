//! Where clients come in: two services on one port, and what they share. Each calls the stages in order and does
//! nothing else.

mod door;
pub mod grid;
pub mod oip;
mod wire;

pub(crate) use door::Door;
pub(crate) use wire::Limits;

use nanogrid_resilience::Criticality;
use nanogrid_telemetry::{metrics::CallStatus, names::attribute};
use tonic::{
    Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};
use tracing::{Span, debug, warn};

use crate::{
    Router,
    admission::{Admitted, Shed},
    catalog::Expert,
    error::{CallError, Error},
};

/// Messages of one stream that are worked on at the same time; more wait in the client's flow control.
const STREAM_WIDTH: usize = 64;

impl Router {
    /// Takes on a request, a message of `n_bytes`, or refuses it.
    fn admit(&self, criticality: Criticality, n_bytes: usize) -> Result<Admitted<'_>, Shed> {
        Span::current().record(attribute::CRITICALITY, criticality.as_str());
        self.admission.admit(criticality, n_bytes)
    }

    /// Counts what became of a request that went to the bigger model, and tells when it came to nothing.
    fn escalated(&self, expert: &Expert, error: Option<&CallError>) {
        self.metrics.escalated(error.map_or(CallStatus::Answered, CallError::status));
        let Some(error) = error else { return };
        if expert.allowance.is_news() {
            warn!(expert = %expert.name, %error, "degraded: what nobody suits has no answer (told once in a while, counted always)");
        } else {
            debug!(expert = %expert.name, %error, "degraded: what nobody suits has no answer");
        }
    }
}

/// Names and numbers of our own are always ASCII.
fn tell(metadata: &mut MetadataMap, key: &'static str, value: &str) {
    if let Ok(value) = AsciiMetadataValue::try_from(value) {
        metadata.insert(key, value);
    }
}

/// A status as a message, for streams that stay open.
fn as_message(error: Error) -> nanogrid_proto::v1::Error {
    let status = Status::from(error);
    nanogrid_proto::v1::Error { code: status.code() as i32, message: status.message().to_owned() }
}
