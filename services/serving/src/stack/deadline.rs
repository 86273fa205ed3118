//! `grpc-timeout` becomes an absolute `Deadline` for the handler, and `DEADLINE_EXCEEDED` when it passes.
//!
//! tonic has a timer of its own around this one, which would say `CANCELLED`. Ours is started first, with the same
//! time, and polled first: so it wins. tonic's also ends with the response's headers; ours holds for streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::trailers;
use crate::deadline::{self, Deadline};
use crate::status;

#[derive(Clone, Debug)]
pub(crate) struct WithDeadline<S> {
    inner: S,
}

impl<S> WithDeadline<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for WithDeadline<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Limited>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let deadline = match deadline::parse(request.headers()) {
            Ok(None) => return Answer::Unlimited { inner: self.inner.call(request) },
            Ok(Some(time)) => Deadline::after(time),
            Err(error) => {
                return Answer::Refused { status: Some(Status::invalid_argument(error.to_string())) };
            }
        };
        if deadline.is_over() {
            return Answer::Refused { status: Some(status::deadline_exceeded()) };
        }
        request.extensions_mut().insert(deadline);
        let timer = tokio::time::sleep_until(deadline.0);
        Answer::Limited { inner: self.inner.call(request), timer, deadline }
    }
}

pin_project! {
    #[project = AnswerProj]
    pub(crate) enum Answer<F> {
        // The handler was not called.
        Refused { status: Option<Status> },
        Unlimited { #[pin] inner: F },
        Limited { #[pin] inner: F, #[pin] timer: Sleep, deadline: Deadline },
    }
}

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Limited>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (polled, deadline) = match self.project() {
            AnswerProj::Refused { status } => {
                let status = status.take().expect("not polled again once it is ready");
                return Poll::Ready(Ok(refusal(status)));
            }
            AnswerProj::Unlimited { inner } => (inner.poll(cx), None),
            AnswerProj::Limited { inner, timer, deadline } => {
                // An answer that is ready wins over a timer that is too.
                let polled = inner.poll(cx);
                if polled.is_pending() && timer.poll(cx).is_ready() {
                    return Poll::Ready(Ok(refusal(status::deadline_exceeded())));
                }
                (polled, Some(*deadline))
            }
        };
        polled.map_ok(|response| response.map(|inner| Limited { inner, deadline, timer: None, ended: false }))
    }
}

fn refusal(status: Status) -> Response<Limited> {
    status.into_http::<Body>().map(|inner| Limited { inner, deadline: None, timer: None, ended: false })
}

/// A body that ends with `DEADLINE_EXCEEDED` when the deadline passes before its own end.
#[derive(Debug)]
pub(crate) struct Limited {
    inner: Body,
    deadline: Option<Deadline>,
    // Made when the body first has to wait: the one message of a unary answer never does.
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        let (Poll::Pending, Some(deadline)) = (&polled, this.deadline) else { return polled };
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.0)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.ended = true;
        // Nobody reads it any more: what produces it should stop now, not when the client has gone.
        this.inner = Body::empty();
        Poll::Ready(Some(Ok(trailers(&status::deadline_exceeded()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
