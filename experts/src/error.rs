//! Why a request has no answer. Each reason says what, where, and the way out, and has exactly one status code:
//! the router decides by that code whether another endpoint is worth a try.

use std::time::Duration;

use nanogrid_proto::tensor::TensorError;
use nanogrid_resilience::{Criticality, ShedReason};
use nanogrid_telemetry::metrics::FailureReason;
use tonic::{Code, Status};

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No package of this name was given to this process.
    #[error("no expert `{name}` here; served: {served}")]
    UnknownExpert {
        /// As asked for.
        name: String,
        /// Names, sorted, with commas.
        served: String,
    },
    /// The expert is here, this version of it is not.
    #[error("expert `{name}` has no version {version} here; served: {served}")]
    UnknownVersion {
        /// Of the expert.
        name: String,
        /// As asked for.
        version: u32,
        /// Versions, sorted, with commas.
        served: String,
    },
    /// Versions are positive integers.
    #[error(
        "model_version: `{version}` is not a positive integer; leave it empty for the expert's default version"
    )]
    BadVersion {
        /// As written.
        version: String,
    },
    /// Here, but it cannot answer: still loading, or its package is broken.
    #[error("expert `{name}` version {version} cannot answer: {reason}")]
    NotReady {
        /// Of the expert.
        name: String,
        /// Which version.
        version: u32,
        /// Why.
        reason: String,
    },
    /// Nobody knows yet whether it will be here.
    #[error(
        "expert `{name}` is not known: the process is starting and still reads its packages, try again soon"
    )]
    Starting {
        /// As asked for.
        name: String,
    },
    /// A version that cannot be loaded as it lies on disk.
    #[error("expert `{name}`: {reason}")]
    NotLoadable {
        /// Of the expert.
        name: String,
        /// File, what is wrong, and the way out.
        reason: String,
    },
    /// The message does not hold the tensors that it says it holds.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An input that the expert needs is not there.
    #[error("input `{name}` is missing: expected {expected}")]
    MissingInput {
        /// Of the input.
        name: String,
        /// Datatype and shape.
        expected: String,
    },
    /// An input that the expert does not have.
    #[error("input `{name}` is not one of this expert's; it takes {expected}")]
    UnknownInput {
        /// As sent.
        name: String,
        /// Every input, with datatype and shape.
        expected: String,
    },
    /// The same input twice.
    #[error("input `{name}` is there twice")]
    RepeatedInput {
        /// As sent.
        name: String,
    },
    /// Datatype or shape of an input are not what the expert takes.
    #[error("input `{name}`: {found} does not fit {expected}")]
    Misfit {
        /// Of the input.
        name: String,
        /// Datatype and shape as sent.
        found: String,
        /// Datatype and shape as the expert takes them; -1 = any size.
        expected: String,
    },
    /// No rows at all.
    #[error("input `{name}` has no rows")]
    NoRows {
        /// Of the input.
        name: String,
    },
    /// More rows than one request may bring.
    #[error(
        "input `{name}` has {rows} rows; the limit is {limit} (setting `inference.max-rows`): send several requests"
    )]
    TooManyRows {
        /// Of the input.
        name: String,
        /// As sent.
        rows: usize,
        /// From the settings.
        limit: usize,
    },
    /// Nothing to read in a text.
    #[error("input `{name}`, row {row}: the text is empty")]
    EmptyText {
        /// Of the input.
        name: String,
        /// From 0.
        row: usize,
    },
    /// A text longer than allowed.
    #[error(
        "input `{name}`, row {row}: the text has {bytes} bytes; the limit is {limit} (setting `inference.max-text-bytes`)"
    )]
    TextTooLong {
        /// Of the input.
        name: String,
        /// From 0.
        row: usize,
        /// As sent.
        bytes: usize,
        /// From the settings.
        limit: usize,
    },
    /// A text that is not UTF-8.
    #[error("input `{name}`, row {row}: not UTF-8 from byte {offset}")]
    NotUtf8 {
        /// Of the input.
        name: String,
        /// From 0.
        row: usize,
        /// The first byte that is wrong, from 0.
        offset: usize,
    },
    /// No image that can be read.
    #[error("input `{name}`, row {row}: {problem}")]
    Image {
        /// Of the input.
        name: String,
        /// From 0.
        row: usize,
        /// What was found, and what is taken.
        problem: nanogrid_onnx::ImageError,
    },
    /// The tokeniser could not read a text.
    #[error("input `{name}`, row {row}: {problem}")]
    Untokenisable {
        /// Of the input.
        name: String,
        /// From 0.
        row: usize,
        /// As the tokeniser says it.
        problem: String,
    },
    /// An output that the expert does not have.
    #[error("output `{name}` is not one of this expert's; it gives {expected}")]
    UnknownOutput {
        /// As asked for.
        name: String,
        /// Every output, with datatype and shape.
        expected: String,
    },
    /// A parameter that cannot be taken as it is.
    #[error("parameter `{name}`: {problem}")]
    Parameter {
        /// Its key.
        name: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// More work than can be done: a healthy expert saying no.
    #[error(
        "expert `{name}` is overloaded, {}: try again in {retry_after:?}, or elsewhere",
        shed(*reason, *criticality)
    )]
    Overloaded {
        /// Of the expert.
        name: String,
        /// Of the request.
        criticality: Criticality,
        /// Where it was turned away.
        reason: ShedReason,
        /// About the time that the queue needs to drain.
        retry_after: Duration,
    },
    /// No answer in time.
    #[error("the deadline passed before the answer was there")]
    DeadlineExceeded,
    /// The process is going away.
    #[error("the expert is shutting down")]
    Closed,
    /// The request does not fit the model.
    #[error("{0}")]
    Invalid(String),
    /// The model itself failed.
    #[error("the model failed: {0}")]
    Failed(String),
    /// A part of the protocol that is not offered.
    #[error("{what} is not offered: {instead}")]
    NotOffered {
        /// The rpc or field.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
}

impl Error {
    /// The one status code of each reason.
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownExpert { .. } | Self::UnknownVersion { .. } => Code::NotFound,
            Self::NotReady { .. } | Self::Starting { .. } | Self::Closed => Code::Unavailable,
            Self::BadVersion { .. }
            | Self::Tensor(_)
            | Self::MissingInput { .. }
            | Self::UnknownInput { .. }
            | Self::RepeatedInput { .. }
            | Self::Misfit { .. }
            | Self::NoRows { .. }
            | Self::TooManyRows { .. }
            | Self::EmptyText { .. }
            | Self::TextTooLong { .. }
            | Self::NotUtf8 { .. }
            | Self::Image { .. }
            | Self::Untokenisable { .. }
            | Self::UnknownOutput { .. }
            | Self::Parameter { .. }
            | Self::Invalid(_) => Code::InvalidArgument,
            Self::NotLoadable { .. } => Code::FailedPrecondition,
            Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Failed(_) => Code::Internal,
            Self::NotOffered { .. } => Code::Unimplemented,
        }
    }

    /// The same in the words of the metrics: each reason is decided once, in [`Self::code`].
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "codes that `code` never gives need no arm of their own"
    )]
    pub(crate) fn reason(&self) -> FailureReason {
        match self.code() {
            Code::InvalidArgument | Code::ResourceExhausted => FailureReason::Rejected,
            Code::DeadlineExceeded => FailureReason::Canceled,
            Code::Internal => FailureReason::Backend,
            _ => FailureReason::Other,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let mut status = Self::new(error.code(), error.to_string());
        if let Error::Overloaded { retry_after, .. } = error {
            // Whole milliseconds is all that gRPC's header can say; 0 would mean "at once".
            let pushback = retry_after.as_millis().max(1).to_string();
            if let Ok(pushback) = pushback.parse() {
                status.metadata_mut().insert("grpc-retry-pushback-ms", pushback);
            }
        }
        status
    }
}

fn shed(reason: ShedReason, criticality: Criticality) -> String {
    match reason {
        ShedReason::Full => format!("its queue has no room for {criticality} requests"),
        ShedReason::Waited => "the queue stood still for too long".to_owned(),
    }
}
