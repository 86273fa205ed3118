//! A call to one expert that gave nothing: which side is to blame, and whether it is worth trying again.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use nanogrid_resilience::Verdict;
use nanogrid_serving::status::metadata;
use nanogrid_settings::grid::RetryOn;
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
    /// Its endpoints are there, and most calls to them fail.
    #[error("version {version} is left alone for a moment: most of its calls failed")]
    CircuitOpen {
        /// The version that was wanted.
        version: u32,
    },
    /// Most calls of this importance would be shed there, so this one was kept here.
    #[error("held back: the expert sheds most of its calls")]
    Throttled,
    /// Sent, it could not have been answered in time.
    #[error("not sent: {left:?} are left, and nine of ten answers take longer than {usual:?}")]
    Doomed {
        /// Until the deadline.
        left: Duration,
        /// What the fastest answers take.
        usual: Duration,
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
            // Whatever code tonic found for it.
            _ if caused_by(&source, is_not_sent) => Self::NotSent { endpoint, source },
            // tonic's own timer, in this process or in the expert's, says CANCELLED.
            Code::Cancelled if has_passed || caused_by(&source, |error| error.is::<TimeoutExpired>()) => {
                Self::TimedOut { limit }
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
            Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::NotSent { .. }
            | Self::Unreachable { .. } => Code::Unavailable,
            Self::TimedOut { .. } | Self::Doomed { .. } => Code::DeadlineExceeded,
            Self::Overloaded { .. } | Self::Throttled => Code::ResourceExhausted,
            Self::NotMine { .. } => Code::FailedPrecondition,
            Self::Refused { source, .. } | Self::Failed { source, .. } => source.code(),
            Self::Malformed { .. } => Code::Internal,
            Self::Cancelled => Code::Cancelled,
        }
    }

    /// Where the call may be tried again.
    pub fn again(&self) -> Again {
        match self {
            Self::NotSent { .. } => Again::Free,
            Self::Unreachable { .. } => Again::Anywhere,
            // An expert that sheds says when to come back; without that word RESOURCE_EXHAUSTED is about the request,
            // e.g. its size.
            Self::Overloaded { .. } if self.pushback().is_some() => Again::Anywhere,
            Self::Failed { source, .. } => match source.code() {
                Code::Internal => Again::Elsewhere(RetryOn::Internal),
                Code::Unknown => Again::Elsewhere(RetryOn::Unknown),
                Code::Aborted => Again::Elsewhere(RetryOn::Aborted),
                Code::DataLoss => Again::Elsewhere(RetryOn::DataLoss),
                Code::Ok
                | Code::Cancelled
                | Code::InvalidArgument
                | Code::DeadlineExceeded
                | Code::NotFound
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::ResourceExhausted
                | Code::FailedPrecondition
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::Unavailable
                | Code::Unauthenticated => Again::Never,
            },
            // The time is already spent; a second try would miss the deadline too.
            Self::TimedOut { .. } | Self::Doomed { .. } => Again::Never,
            Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::Throttled
            | Self::Overloaded { .. }
            | Self::NotMine { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Cancelled => Again::Never,
        }
    }

    /// When the expert wants to be asked again, if it says so (gRFC A6).
    pub fn pushback(&self) -> Option<Pushback> {
        let told = self.source_status()?.metadata().get(metadata::RETRY_PUSHBACK)?;
        // What is no number is a "no", as a negative one is.
        let millis = told.to_str().ok().and_then(|millis| millis.parse().ok());
        Some(millis.map_or(Pushback::Never, |millis| Pushback::After(Duration::from_millis(millis))))
    }

    /// Is this final, whichever endpoint is asked?
    pub fn is_about_the_request(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::NotMine { .. } => true,
            Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::Throttled
            | Self::Doomed { .. }
            | Self::TimedOut { .. }
            | Self::NotSent { .. }
            | Self::Unreachable { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::Malformed { .. }
            | Self::Cancelled => false,
        }
    }

    /// May the client, asking again a little later, get an answer?
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::Throttled
            | Self::Doomed { .. }
            | Self::TimedOut { .. }
            | Self::NotSent { .. }
            | Self::Unreachable { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. } => true,
            Self::NotMine { .. } | Self::Refused { .. } | Self::Malformed { .. } | Self::Cancelled => false,
        }
    }

    /// Does it speak against the version, compared with another version that gets the same kind of requests?
    pub fn is_the_versions_failure(&self) -> bool {
        match self {
            Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::TimedOut { .. }
            | Self::NotSent { .. }
            | Self::Unreachable { .. }
            // One that is slower has too much to do sooner.
            | Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::Malformed { .. } => true,
            // The request's fault, the router's own doing, or nobody's.
            Self::Throttled
            | Self::Doomed { .. }
            | Self::NotMine { .. }
            | Self::Refused { .. }
            | Self::Cancelled => false,
        }
    }

    /// Was an expert reached, and did it say so itself? A connection that breaks may be the fault of a machine or of a network.
    pub fn was_said(&self) -> bool {
        match self {
            Self::Overloaded { .. }
            | Self::NotMine { .. }
            | Self::Refused { .. }
            | Self::Failed { .. }
            | Self::Malformed { .. } => true,
            // What tonic itself says of a connection has a source.
            Self::Unreachable { source, .. } => source.source().is_none(),
            Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::Throttled
            | Self::Doomed { .. }
            | Self::TimedOut { .. }
            | Self::NotSent { .. }
            | Self::Cancelled => false,
        }
    }

    /// What the client is told became of the call.
    pub fn status(&self) -> CallStatus {
        match self {
            Self::TimedOut { .. } | Self::Doomed { .. } => CallStatus::TimedOut,
            Self::Overloaded { .. } | Self::Throttled => CallStatus::Shed,
            Self::CircuitOpen { .. } => CallStatus::CircuitOpen,
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

    /// What this says about whoever was asked. A timeout speaks against it only when the time was `ample`: see
    /// [`Verdict::Neutral`].
    pub fn verdict(&self, ample: bool) -> Verdict {
        match self {
            Self::Unreachable { .. } | Self::Failed { .. } | Self::Malformed { .. } => Verdict::Failure,
            Self::TimedOut { .. } if ample => Verdict::Failure,
            // A full queue is a healthy expert saying no.
            Self::Overloaded { .. } => Verdict::Shed,
            // It answered, and what it said is about the request.
            Self::Refused { .. } | Self::NotMine { .. } => Verdict::Success,
            // A connection that goes away in good order loses requests before they are sent.
            Self::NotSent { .. } => Verdict::Neutral,
            Self::TimedOut { .. }
            | Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::Throttled
            | Self::Doomed { .. }
            | Self::Cancelled => Verdict::Neutral,
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
            Self::NoEndpoint { .. }
            | Self::CircuitOpen { .. }
            | Self::Throttled
            | Self::Doomed { .. }
            | Self::TimedOut { .. }
            | Self::Malformed { .. }
            | Self::Cancelled => None,
        }
    }
}

/// Where a call that failed may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would fail again, or too late.
    Never,
    /// Anywhere, and at no cost: nobody has seen it.
    Free,
    /// Better elsewhere, but anywhere.
    Anywhere,
    /// On another endpoint, if the expert's policy allows it after this error.
    Elsewhere(RetryOn),
}

/// What `grpc-retry-pushback-ms` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Do not ask again.
    Never,
    /// Not earlier than this.
    After(Duration),
}

/// Metadata of an expert that hands a request back: it looked, and the input is another expert's.
pub const NOT_MINE: &str = "x-nanogrid-not-mine";

/// Nobody has looked at the request. A connection that was never there takes none; one that is being closed drops those in
/// its queue (hyper says "cancelled"), and those that it has sent after the other side's last word (GOAWAY, of which h2
/// tells only the streams that were not processed: RFC 9113, 6.8).
fn is_not_sent(error: &(dyn StdError + 'static)) -> bool {
    error.is::<tonic::ConnectError>()
        || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
        || error.downcast_ref::<h2::Error>().is_some_and(|error| {
            let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            error.is_remote() && (error.is_go_away() || is_refused)
        })
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
mod tests;
