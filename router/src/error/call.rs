//! A call to one expert that gave nothing: which side is to blame, and whether it is worth trying again.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use nanogrid_telemetry::metrics::CallStatus;
use tonic::{Code, Status, TimeoutExpired};

use crate::catalog::Version;

/// Why a call to one expert gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing is connected, healthy and what the grid file says it is.
    #[error("version {version}: no endpoint is ready: {reason}")]
    NoEndpoint {
        /// The version that was wanted.
        version: u32,
        /// What each of them lacks.
        reason: String,
    },
    /// Our own limit of the call passed.
    #[error("no answer within {limit:?}")]
    TimedOut {
        /// Time the call had.
        limit: Duration,
    },
    /// The request never left, so that sending it again is safe.
    #[error("{endpoint} took no request: {}", source.message())]
    NotSent {
        /// Which one.
        endpoint: Arc<str>,
        /// As tonic told it.
        source: Box<Status>,
    },
    /// The connection broke, or the endpoint says it does not serve.
    #[error("{endpoint} is unavailable: {}", source.message())]
    Unreachable {
        /// Which one.
        endpoint: Arc<str>,
        /// As tonic or the expert told it.
        source: Box<Status>,
    },
    /// The expert protects itself.
    #[error("{endpoint} is overloaded: {}", source.message())]
    Overloaded {
        /// Which one.
        endpoint: Arc<str>,
        /// As the expert told it.
        source: Box<Status>,
    },
    /// The expert says that the input is not its to answer.
    #[error("{endpoint} says that this is not for it: {}", source.message())]
    NotMine {
        /// Which one.
        endpoint: Arc<str>,
        /// As the expert told it.
        source: Box<Status>,
    },
    /// The expert finds the request wrong; so will every other endpoint.
    #[error("{endpoint} refused: {}", source.message())]
    Refused {
        /// Which one.
        endpoint: Arc<str>,
        /// As the expert told it.
        source: Box<Status>,
    },
    /// The expert broke.
    #[error("{endpoint} failed: {}", source.message())]
    Failed {
        /// Which one.
        endpoint: Arc<str>,
        /// As the expert told it.
        source: Box<Status>,
    },
    /// The expert answered, and the answer is not one of its task.
    #[error("{endpoint} gave an answer that is not one of its task: {reason}")]
    Malformed {
        /// Which one.
        endpoint: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// Another answer came first.
    #[error("another answer came first")]
    Cancelled,
}

impl CallError {
    /// No endpoint of `version` can be asked now.
    pub fn nobody(version: &Version) -> Self {
        Self::NoEndpoint { version: version.number, reason: version.why_not_ready() }
    }

    /// Sorts what tonic returned for a call whose `limit` had passed by then, or not.
    pub fn of(status: Status, endpoint: &Arc<str>, limit: Duration, has_passed: bool) -> Self {
        let endpoint = endpoint.clone();
        let source = Box::new(status);
        match source.code() {
            Code::DeadlineExceeded => Self::TimedOut { limit },
            // tonic's own timer, in this process or in the expert's, says CANCELLED.
            Code::Cancelled if has_passed || caused_by(&source, |error| error.is::<TimeoutExpired>()) => {
                Self::TimedOut { limit }
            }
            Code::Cancelled | Code::Unavailable if caused_by(&source, is_not_sent) => {
                Self::NotSent { endpoint, source }
            }
            Code::Unavailable => Self::Unreachable { endpoint, source },
            Code::ResourceExhausted => Self::Overloaded { endpoint, source },
            Code::FailedPrecondition if source.metadata().contains_key(NOT_MINE) => {
                Self::NotMine { endpoint, source }
            }
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented => Self::Refused { endpoint, source },
            // tonic says UNKNOWN when a connection breaks under a call; an expert that means it set no source.
            Code::Unknown if source.source().is_some() => Self::Unreachable { endpoint, source },
            Code::Ok | Code::Cancelled | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => {
                Self::Failed { endpoint, source }
            }
        }
    }

    /// The status on the wire: the expert's own where it gave one.
    pub fn code(&self) -> Code {
        match self {
            Self::NoEndpoint { .. } | Self::NotSent { .. } | Self::Unreachable { .. } => Code::Unavailable,
            Self::TimedOut { .. } => Code::DeadlineExceeded,
            Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::NotMine { .. } => Code::FailedPrecondition,
            Self::Refused { source, .. } | Self::Failed { source, .. } => source.code(),
            Self::Malformed { .. } => Code::Internal,
            Self::Cancelled => Code::Cancelled,
        }
    }

    /// Would another endpoint have a fair chance, now?
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotSent { .. }
            | Self::Unreachable { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. } => true,
            // The time is already spent; a second try would miss the deadline too.
            Self::TimedOut { .. } => false,
            Self::NoEndpoint { .. }
            | Self::NotMine { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Cancelled => false,
        }
    }

    /// May the client, asking again a little later, get an answer?
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::NoEndpoint { .. } => true,
            Self::NotSent { .. }
            | Self::Unreachable { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::NotMine { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Cancelled => self.is_retryable(),
        }
    }

    /// What the client is told became of the call.
    pub fn status(&self) -> CallStatus {
        match self {
            Self::TimedOut { .. } => CallStatus::TimedOut,
            Self::Overloaded { .. } => CallStatus::Shed,
            Self::NotMine { .. } => CallStatus::Abstained,
            Self::Cancelled => CallStatus::Cancelled,
            Self::NoEndpoint { .. }
            | Self::NotSent { .. }
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Failed { .. }
            | Self::Malformed { .. } => CallStatus::Failed,
        }
    }

    /// Does this speak against the endpoint, rather than against the request or for the endpoint's prudence?
    pub fn blames_endpoint(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Failed { .. }
            | Self::Malformed { .. }
            | Self::TimedOut { .. } => true,
            // A connection that goes away in good order loses requests before they are sent.
            Self::NotSent { .. } => false,
            // A full queue is a healthy expert saying no.
            Self::Overloaded { .. } => false,
            Self::NoEndpoint { .. } | Self::NotMine { .. } | Self::Refused { .. } | Self::Cancelled => false,
        }
    }

    /// As it came over the wire.
    pub(super) fn source_status(&self) -> Option<&Status> {
        match self {
            Self::NotSent { source, .. }
            | Self::Unreachable { source, .. }
            | Self::Overloaded { source, .. }
            | Self::NotMine { source, .. }
            | Self::Refused { source, .. }
            | Self::Failed { source, .. } => Some(source),
            Self::NoEndpoint { .. } | Self::TimedOut { .. } | Self::Malformed { .. } | Self::Cancelled => {
                None
            }
        }
    }
}

/// Metadata of an expert that hands a request back: it looked, and the input is another expert's.
const NOT_MINE: &str = "x-nanogrid-not-mine";

/// A connection that is being closed drops the requests in its queue, and one that was never there takes none.
fn is_not_sent(error: &(dyn StdError + 'static)) -> bool {
    error.is::<tonic::ConnectError>()
        || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
}

fn caused_by(status: &Status, is_it: fn(&(dyn StdError + 'static)) -> bool) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if is_it(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    fn of(status: Status, has_passed: bool) -> CallError {
        CallError::of(status, &"10.0.3.7:7000".into(), LIMIT, has_passed)
    }

    #[test]
    fn a_request_that_never_left_is_nobodys_fault_and_can_be_sent_again() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = of(Status::from_error(Box::new(tonic::ConnectError(refused.into()))), false);
        assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
        assert!(error.is_retryable() && !error.blames_endpoint());
        assert_eq!(error.code(), Code::Unavailable);
    }

    #[test]
    fn a_timer_that_says_cancelled_is_a_timeout() {
        for error in [
            of(Status::cancelled("Timeout expired"), true),
            of(Status::from_error(Box::new(TimeoutExpired(()))), false),
            of(Status::deadline_exceeded("late"), false),
        ] {
            assert_eq!(error.to_string(), "no answer within 20ms");
            assert!(!error.is_retryable() && error.is_transient() && error.blames_endpoint());
        }
        assert!(matches!(of(Status::cancelled("by the expert"), false), CallError::Failed { .. }));
    }

    #[test]
    fn prudence_and_wrong_requests_do_not_speak_against_an_endpoint() {
        for status in [Status::resource_exhausted(""), Status::invalid_argument(""), Status::not_found("")] {
            assert!(!of(status.clone(), false).blames_endpoint(), "{status:?}");
        }
        for status in
            [Status::internal(""), Status::unavailable(""), Status::unknown(""), Status::data_loss("")]
        {
            assert!(of(status.clone(), false).blames_endpoint(), "{status:?}");
        }
    }
}
