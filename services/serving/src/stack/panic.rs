//! A panic in a handler is `INTERNAL` for its client, a line in the log and a count; the server goes on.
//!
//! Without it the client would see a stream that was reset, and nobody could tell a bug from a bad network.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use nanogrid_telemetry::metrics::Panics;
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::trailers;

#[derive(Clone, Debug)]
pub(crate) struct CatchPanic<S> {
    inner: S,
    panics: Panics,
}

impl<S> CatchPanic<S> {
    pub(crate) fn new(inner: S, panics: Panics) -> Self {
        Self { inner, panics }
    }
}

impl<S, B> Service<Request<Body>> for CatchPanic<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = Response<Caught<B>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Unwind safe: what the call has touched is dropped with it, and services keep no state between calls that
        // a panic could leave half-written without a lock being poisoned.
        let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)))
            .map_err(|payload| caught(&self.panics, &*payload))
            .ok();
        Answer { inner, panics: self.panics.clone() }
    }
}

pin_project! {
    pub(crate) struct Answer<F> {
        // `None`: the call itself panicked, before there was a future.
        #[pin]
        inner: Option<F>,
        panics: Panics,
    }
}

impl<F, B, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Caught<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let panics = this.panics;
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Ready(Ok(refusal(panics))) };
        match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(polled) => polled.map_ok(|response| {
                response.map(|inner| Caught { inner: Some(inner), panics: panics.clone() })
            }),
            Err(payload) => {
                caught(panics, &*payload);
                Poll::Ready(Ok(refusal(panics)))
            }
        }
    }
}

fn refusal<B>(panics: &Panics) -> Response<Caught<B>> {
    internal().into_http::<()>().map(|()| Caught { inner: None, panics: panics.clone() })
}

fn internal() -> Status {
    // What panicked is for the log: it may hold parts of a request.
    Status::internal("the server failed on this call: its log says why")
}

fn caught(panics: &Panics, payload: &(dyn Any + Send)) {
    panics.count();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
}

pin_project! {
    /// A body that ends with `INTERNAL` when the stream behind it panics.
    pub(crate) struct Caught<B> {
        // `None` once there is nothing to come.
        #[pin]
        inner: Option<B>,
        panics: Panics,
    }
}

impl<B> http_body::Body for Caught<B>
where
    B: http_body::Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx))) {
            Ok(polled) => polled,
            Err(payload) => {
                caught(this.panics, &*payload);
                this.inner.set(None);
                Poll::Ready(Some(Ok(trailers(&internal()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
