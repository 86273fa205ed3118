//! The whole stack around handlers that misbehave: what the client gets, and what was counted.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use nanogrid_telemetry::metrics::Registry;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt, service_fn};

use super::*;
use crate::Deadline;

const METHOD: &str = "test.Test/Call";

/// One call through the stack to `handler`.
struct Call {
    registry: Registry,
    request: Request<Body>,
}

impl Call {
    fn new() -> Self {
        let request = Request::builder().uri(format!("http://test/{METHOD}")).body(Body::empty()).unwrap();
        Self { registry: Registry::new(), request }
    }

    fn timeout(mut self, value: &str) -> Self {
        self.request.headers_mut().insert("grpc-timeout", value.try_into().unwrap());
        self
    }

    async fn send<H, F>(&mut self, handler: H) -> Response<impl http_body::Body<Data = Bytes> + use<H, F>>
    where
        H: FnMut(Request<Body>) -> F,
        F: Future<Output = Result<Response<Body>, Infallible>>,
    {
        let metrics = RpcMetrics::server(&self.registry, [METHOD.to_owned()]);
        let layers = WithDeadline::new(service_fn(handler));
        let mut stack = Observe::new(CatchPanic::new(layers, Panics::new(&self.registry)), metrics);
        let request = std::mem::take(&mut self.request);
        stack.ready().await.unwrap().call(request).await.unwrap()
    }

    /// As `send`, to the end of the body.
    async fn status<H, F>(&mut self, handler: H) -> Status
    where
        H: FnMut(Request<Body>) -> F,
        F: Future<Output = Result<Response<Body>, Infallible>>,
    {
        let (head, body) = self.send(handler).await.into_parts();
        let trailers = body.collect().await.ok().expect("a body").trailers().cloned();
        let headers = trailers.unwrap_or(head.headers);
        Status::from_header_map(&headers).expect("a status")
    }

    #[track_caller]
    fn counted(&self, code: &str) {
        let line = format!(
            r#"rpc_server_call_duration_seconds_count{{rpc_method="{METHOD}",rpc_status_code="{code}"}} 1"#
        );
        let text = self.registry.encode();
        assert!(text.contains(&line), "{line} in\n{text}");
        let counts = text.lines().filter(|line| line.starts_with("rpc_server_call_duration_seconds_count"));
        assert_eq!(counts.count(), 1, "counted once, under one code\n{text}");
        assert!(
            text.contains(&format!(r#"nanogrid_rpc_server_in_flight{{rpc_method="{METHOD}"}} 0"#)),
            "{text}"
        );
    }
}

fn body(frames: impl futures::Stream<Item = Frame<Bytes>> + Send + 'static) -> Body {
    use futures::StreamExt;
    Body::new(StreamBody::new(frames.map(Ok::<_, Status>)))
}

fn message() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"part"))
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let frames = [message(), trailers(&Status::ok(""))];
    Ok(Response::new(body(futures::stream::iter(frames))))
}

async fn never(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn an_answer_passes_as_it_is() {
    let mut call = Call::new().timeout("1S");
    assert_eq!(call.status(answer).await.code(), Code::Ok);
    call.counted("OK");
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_an_absolute_deadline() {
    let mut call = Call::new().timeout("250m");
    let begun = Instant::now();
    call.status(async |request: Request<Body>| {
        let deadline = Deadline::from_extensions(request.extensions()).expect("there is one");
        assert_eq!(deadline.0, begun + Duration::from_millis(250));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(deadline.remaining(), Duration::from_millis(150));
        answer(request).await
    })
    .await;
    let mut without = Call::new();
    without
        .status(async |request: Request<Body>| {
            assert_eq!(Deadline::from_extensions(request.extensions()), None);
            answer(request).await
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_too_late_is_stopped_at_the_deadline() {
    let mut call = Call::new().timeout("250m");
    let begun = Instant::now();
    assert_eq!(call.status(never).await.code(), Code::DeadlineExceeded);
    assert_eq!(begun.elapsed().as_millis() / 2, 125, "to the millisecond of the timer");
    call.counted("DEADLINE_EXCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_deadline() {
    use futures::StreamExt;
    let mut call = Call::new().timeout("250m");
    let begun = Instant::now();
    let status = call
        .status(async |_| {
            let frames = futures::stream::iter([message()]).chain(futures::stream::pending());
            Ok(Response::new(body(frames)))
        })
        .await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(begun.elapsed() >= Duration::from_millis(250));
    call.counted("DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn an_expired_deadline_does_not_reach_the_handler() {
    let mut call = Call::new().timeout("0m");
    let status = call.status(async |_| panic!("called")).await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    call.counted("DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_malformed_timeout_is_named() {
    let mut call = Call::new().timeout("soon");
    let status = call.status(async |_| panic!("called")).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("grpc-timeout") && status.message().contains("`soon`"), "{status}");
    call.counted("INVALID_ARGUMENT");
}

#[track_caller]
fn panicked(call: &Call, status: &Status) {
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("secret"), "what panicked is not the client's: {status}");
    call.counted("INTERNAL");
    assert!(call.registry.encode().contains("\nnanogrid_panics_total 1\n"));
}

#[tokio::test]
async fn a_panicking_handler_is_internal() {
    let mut call = Call::new();
    let status = call.status(async |_| panic!("secret")).await;
    panicked(&call, &status);
}

#[tokio::test]
async fn a_panic_before_there_is_a_future_is_internal() {
    fn panics(_: Request<Body>) -> std::future::Ready<Result<Response<Body>, Infallible>> {
        panic!("secret {}", 1)
    }
    let mut call = Call::new();
    let status = call.status(panics).await;
    panicked(&call, &status);
}

#[tokio::test]
async fn a_panicking_stream_ends_with_internal() {
    use futures::StreamExt;
    let mut call = Call::new();
    let status = call
        .status(async |_| {
            let frames =
                futures::stream::iter(0..2).map(|i| if i == 0 { message() } else { panic!("secret") });
            Ok(Response::new(body(frames)))
        })
        .await;
    panicked(&call, &status);
}

#[tokio::test]
async fn an_error_without_a_body_is_counted_by_its_headers() {
    let mut call = Call::new();
    let status = call.status(async |_| Ok(Status::not_found("no such thing").into_http())).await;
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such thing"));
    call.counted("NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_leaves_is_cancelled() {
    let mut before_headers = Call::new();
    let left = tokio::time::timeout(Duration::from_millis(1), before_headers.send(never)).await;
    assert!(left.is_err());
    before_headers.counted("CANCELLED");

    let mut in_the_stream = Call::new();
    let response = in_the_stream.send(async |_| Ok(Response::new(body(futures::stream::pending())))).await;
    drop(response);
    in_the_stream.counted("CANCELLED");
}
