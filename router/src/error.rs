//! Everything that can go wrong, in two places: a request that cannot be answered at all ([`Error`]), and a call to one
//! expert that gave nothing ([`CallError`]). The second is a part of an answer and never the end of a request, except
//! where the request is for one expert only: the Open Inference Protocol.

mod call;

use nanogrid_serving::status::metadata;
use nanogrid_settings::ExpertName;
use tonic::{Code, Status};

pub use call::{Again, CallError, NOT_MINE, Pushback};

use crate::{admission::Shed, request::VersionChoice};

/// Why a request has no answer at all.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The message is wrong, whoever would answer it.
    #[error("{field}: {reason}")]
    Invalid {
        /// As the client wrote it, e.g. `options.deadline`.
        field: String,
        /// What would be right, the value at the end.
        reason: String,
    },
    /// There is no such expert.
    #[error("there is no expert `{name}` in this grid: choose from {}", list(known))]
    UnknownExpert {
        /// As the client wrote it.
        name: String,
        /// Sorted.
        known: Vec<ExpertName>,
    },
    /// The expert has no such version.
    #[error("expert `{expert}` has no version `{version}`: choose from {}", list(known))]
    UnknownVersion {
        /// The expert asked.
        expert: ExpertName,
        /// As the client wrote it.
        version: VersionChoice,
        /// In the order of the grid file.
        known: Vec<u32>,
    },
    /// The router protects itself.
    #[error(transparent)]
    Shed(#[from] Shed),
    /// The deadline had passed before anyone was asked.
    #[error("the deadline had passed before an expert was asked: allow more time")]
    Expired,
    /// The deadline passed before there was an answer.
    #[error("the deadline passed before the experts had answered: allow more time")]
    TooLate,
    /// `auto` found nobody to forward to.
    #[error("no expert for this request: {why}; name one as the model, or ask `nanogrid.v1.Grid/Route` why")]
    Undecided {
        /// The decision in a sentence.
        why: String,
        /// The classifier could not answer, so another try may succeed.
        unavailable: bool,
    },
    /// The one expert that was asked gave no answer.
    #[error("expert `{expert}`: {source}")]
    Call {
        /// Who was asked.
        expert: ExpertName,
        /// What happened.
        source: Box<CallError>,
    },
}

impl Error {
    /// `field` of the message is wrong for this `reason`.
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }

    /// The status on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } => Code::InvalidArgument,
            Self::UnknownExpert { .. } | Self::UnknownVersion { .. } => Code::NotFound,
            Self::Shed(_) => Code::ResourceExhausted,
            Self::Expired | Self::TooLate => Code::DeadlineExceeded,
            Self::Undecided { unavailable: true, .. } => Code::Unavailable,
            Self::Undecided { unavailable: false, .. } => Code::FailedPrecondition,
            Self::Call { source, .. } => source.code(),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error {
            // Pushback and other hints of the expert reach the client.
            Error::Call { source, .. } => match source.source_status() {
                Some(status) => Self::with_details_and_metadata(
                    code,
                    message,
                    bytes::Bytes::copy_from_slice(status.details()),
                    status.metadata().clone(),
                ),
                None => {
                    let mut status = Self::new(code, message);
                    if matches!(*source, CallError::Throttled) {
                        status.metadata_mut().insert(metadata::RETRY_PUSHBACK, THROTTLED_FOR_MS.into());
                    }
                    status
                }
            },
            Error::Shed(shed) => shed.status(),
            Error::Invalid { .. }
            | Error::UnknownExpert { .. }
            | Error::UnknownVersion { .. }
            | Error::Expired
            | Error::TooLate
            | Error::Undecided { .. } => Self::new(code, message),
        }
    }
}

/// What is held back is held back by the last half minute: asking again at once would change nothing.
const THROTTLED_FOR_MS: u64 = 1_000;

fn list<T: std::fmt::Display>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
