//! One span and one count per call, with the status that the client gets.
//!
//! A call lasts until the last byte of its answer: the status of a stream stands in its trailers. A call that is
//! dropped before that is one whose client has left.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use nanogrid_telemetry::metrics::{CallInFlight, MethodMetrics, RpcMetrics};
use nanogrid_telemetry::names::{self, attribute};
use nanogrid_telemetry::propagation;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tower::Service;
use tracing::Span;
use tracing::field::{Empty, display};

use crate::peer::Peer;

#[derive(Clone, Debug)]
pub(crate) struct Observe<S> {
    inner: S,
    metrics: RpcMetrics,
}

impl<S> Observe<S> {
    pub(crate) fn new(inner: S, metrics: RpcMetrics) -> Self {
        Self { inner, metrics }
    }
}

impl<S, B> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = Response<Observed<B>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = self.metrics.method(request.uri().path().trim_start_matches('/'));
        let peer = request.extensions().get::<Peer>();
        if let Some(peer) = peer {
            peer.asks();
        }
        let call = Call::begin(method.clone(), span(method.name(), peer, request.headers()));
        let inner = call.span.in_scope(|| self.inner.call(request));
        Answer { inner, call: Some(call) }
    }
}

fn span(method: &str, peer: Option<&Peer>, headers: &HeaderMap) -> Span {
    // Probes come every few seconds for ever: as traces they would only bury the others.
    if method.starts_with("grpc.health.") {
        return Span::none();
    }
    let span = tracing::info_span!(
        "call",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.status_code = Empty,
        error.type = Empty,
        network.peer.address = Empty,
        // For the handler to record, once it knows.
        nanogrid.expert = Empty,
        nanogrid.model.version = Empty,
        nanogrid.criticality = Empty,
    );
    if let Some(address) = peer.and_then(Peer::address) {
        span.record(attribute::NETWORK_PEER_ADDRESS, display(address.ip()));
    }
    propagation::set_parent(&span, headers);
    span
}

/// A call that was begun and is counted once, whatever becomes of it.
#[derive(Debug)]
struct Call {
    method: MethodMetrics,
    span: Span,
    started: Instant,
    ended: bool,
    _in_flight: CallInFlight,
}

impl Call {
    fn begin(method: MethodMetrics, span: Span) -> Self {
        let in_flight = method.started();
        Self { method, span, started: Instant::now(), ended: false, _in_flight: in_flight }
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let name = names::status_code(code as i32);
        self.span.record(attribute::RPC_STATUS_CODE, name);
        if names::is_server_error(code as i32) {
            self.span.record(attribute::OTEL_STATUS_CODE, "error");
            self.span.record(attribute::ERROR_TYPE, name);
        }
        let elapsed = self.started.elapsed();
        self.method.record(code as i32, elapsed, propagation::sampled_trace_id(&self.span));
        tracing::debug!(parent: &self.span, code = name, ?elapsed, "answered");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

pin_project! {
    pub(crate) struct Answer<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, B, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Observed<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.call.as_ref().map(|call| call.span.enter());
        let polled = ready!(this.inner.poll(cx));
        drop(entered);
        let mut call = this.call.take().expect("not polled again once it is ready");
        Poll::Ready(match polled {
            Ok(response) => {
                // An error before the first message has its status in the headers, and no body.
                if let Some(code) = code(response.headers()) {
                    call.end(code);
                }
                Ok(response.map(|inner| Observed { inner, call }))
            }
            Err(error) => {
                call.end(Code::Unknown);
                Err(error)
            }
        })
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

pin_project! {
    /// A body whose end is the end of the call.
    pub(crate) struct Observed<B> {
        #[pin]
        inner: B,
        call: Call,
    }
}

impl<B> http_body::Body for Observed<B>
where
    B: http_body::Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = ready!(this.call.span.in_scope(|| this.inner.poll_frame(cx)));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(code) {
                    this.call.end(code);
                }
            }
            // A gRPC answer ends with trailers; what ends otherwise is unknown to the client too.
            Some(Err(_)) | None => this.call.end(Code::Unknown),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
