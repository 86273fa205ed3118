//! The layers of every gRPC server, outermost first, each with its reason.
//!
//! 1. `observe`: span and metrics of the call, with the status the client gets. Outside of everything that can
//!    make a status, so that panics and expired deadlines are seen as what the client sees.
//! 2. `panic`: a bug in one handler is `INTERNAL` for one client. Outside of the deadline, to catch its bugs too.
//! 3. `deadline`: stops a handler that nobody waits for any more. Innermost, as it drops the handler.
//!
//! What chooses (experts, versions, endpoints) is no layer.

mod deadline;
mod observe;
mod panic;

use nanogrid_telemetry::metrics::{Panics, RpcMetrics};
use tonic::service::Routes;

use deadline::WithDeadline;
use observe::Observe;
use panic::CatchPanic;

pub(crate) type Stack<S> = Observe<CatchPanic<WithDeadline<S>>>;

pub(crate) fn stack(routes: Routes, metrics: RpcMetrics, panics: Panics) -> Stack<Routes> {
    Observe::new(CatchPanic::new(WithDeadline::new(routes), panics), metrics)
}

/// The status as the end of a body that has already begun.
fn trailers(status: &tonic::Status) -> http_body::Frame<bytes::Bytes> {
    let mut headers = http::HeaderMap::new();
    // Fails on messages that no header can hold; ours are plain text.
    let _ = status.add_header(&mut headers);
    http_body::Frame::trailers(headers)
}

#[cfg(test)]
mod tests;
