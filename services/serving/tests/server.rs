//! A whole server and real clients.
#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, and not what they share")]

use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::TokioExecutor;
use nanogrid_proto::v1::control_client::ControlClient;
use nanogrid_proto::v1::control_server::{Control, ControlServer};
use nanogrid_proto::v1::expert_info_client::ExpertInfoClient;
use nanogrid_proto::v1::expert_info_server::{ExpertInfo, ExpertInfoServer};
use nanogrid_proto::v1::{
    GetInfoRequest, GetInfoResponse, ReloadRequest, ReloadResponse, StatusRequest, StatusResponse,
};
use nanogrid_serving::{Deadline, Drain, Error, Health, Options, Server, Services, endpoint};
use nanogrid_telemetry::metrics::Registry;
use nanogrid_telemetry::trace_id;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};
use tracing::Span;

/// Answers with its trace and with the time left, or keeps its callers waiting for as long as they say.
struct Fake;

#[tonic::async_trait]
impl ExpertInfo for Fake {
    async fn get_info(&self, request: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        if let Some(wait) = request.metadata().get("wait-ms") {
            let wait = wait.to_str().unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let left = Deadline::from_extensions(request.extensions()).map(|deadline| deadline.remaining());
        let start_up_us = left.map_or(0, |left| left.as_micros() as u64);
        let version = trace_id(&Span::current()).map_or_else(String::new, |trace| trace.to_string());
        Ok(Response::new(GetInfoResponse { version, start_up_us, ..GetInfoResponse::default() }))
    }
}

#[tonic::async_trait]
impl Control for Fake {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse { version: "1.2.3".to_owned(), ..StatusResponse::default() }))
    }

    async fn reload(&self, _: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        Err(Status::failed_precondition("never"))
    }
}

/// A server that runs until it is stopped.
struct Running {
    grpc: SocketAddr,
    ops: SocketAddr,
    health: Health,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), Error>>,
}

const SOON: Drain = Drain { serve_on: Duration::from_millis(100), hard_stop: Duration::from_secs(20) };

fn options(drain: Drain) -> Options {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Options { listen: any, ops: any, max_message: 64 << 20, drain }
}

impl Running {
    async fn start(drain: Drain) -> Self {
        let server = Server::bind(options(drain)).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (grpc, ops, health) = (server.local_addr(), server.ops_addr(), server.health());
        let services = Services::new().with(ExpertInfoServer::new(Fake));
        let control = Services::new().with(ControlServer::new(Fake)).into_router();
        let served = tokio::spawn(server.serve(services, Some(control), Registry::new(), async {
            let _ = stopped.await;
        }));
        Self { grpc, ops, health, stop: Some(stop), served }
    }

    async fn channel(&self) -> Channel {
        endpoint(&self.grpc.to_string()).unwrap().connect().await.unwrap()
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.ops).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }
}

fn info(wait_ms: u64, timeout: Option<&'static str>) -> Request<GetInfoRequest> {
    let mut request = Request::new(GetInfoRequest {});
    request.metadata_mut().insert("wait-ms", wait_ms.into());
    if let Some(timeout) = timeout {
        request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn an_expired_deadline_is_not_a_cancellation() {
    let server = Running::start(SOON).await;
    // Not tonic's channel: it has a timer too, and would answer for the server.
    let plain =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", server.grpc).parse().unwrap();
    let mut client = ExpertInfoClient::with_origin(plain, origin);
    // Often, because tonic's own timer around ours must never win.
    for _ in 0..20 {
        let status = client.get_info(info(60_000, Some("10m"))).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let left = client.get_info(info(0, Some("10S"))).await.unwrap().into_inner().start_up_us;
    assert!((9_000_000..10_000_000).contains(&left), "{left}");
    let status = client.get_info(info(0, Some("ten"))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn reflection_lists_what_is_served() {
    let server = Running::start(SOON).await;
    let list = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::iter([list])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(listed) = answer else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "nanogrid.v1.ExpertInfo",
        ]
    );

    let symbol = "nanogrid.v1.ExpertInfo".to_owned();
    let find = v1alpha::ServerReflectionRequest {
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            symbol,
        )),
        ..Default::default()
    };
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let mut answers = old.server_reflection_info(tokio_stream::iter([find])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    use v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse;
    assert!(matches!(answer, FileDescriptorResponse(_)), "{answer:?}");
}

#[tokio::test]
async fn the_ops_side_tells_metrics_liveness_and_what_is_not_ready() {
    let server = Running::start(SOON).await;
    server.health.set("intent", false);
    assert_eq!(server.get("/livez").await.0, 200);
    let (code, text) = server.get("/readyz").await;
    assert_eq!(code, 503);
    assert!(text.ends_with("not ready\nnot serving: intent\n"), "{text}");
    server.health.set("intent", true);
    assert_eq!(server.get("/readyz").await.0, 200);

    ExpertInfoClient::new(server.channel().await).get_info(info(0, None)).await.unwrap();
    let (code, text) = server.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(text.contains("content-type: application/openmetrics-text"), "{text}");
    let counted = r#"_count{rpc_method="nanogrid.v1.ExpertInfo/GetInfo",rpc_status_code="OK"} 1"#;
    assert!(text.contains(counted), "{text}");
    assert_eq!(server.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn a_trace_goes_through_the_server_and_leads_from_its_metrics() {
    let _guard = nanogrid_telemetry::init("nanogrid-test", "0", &nanogrid_telemetry::Options::default());
    let server = Running::start(SOON).await;
    let mut client = ExpertInfoClient::new(server.channel().await);
    let mut request = info(0, None);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    let answer = client.get_info(request).await.unwrap().into_inner();
    assert_eq!(answer.version, "4bf92f3577b34da6a3ce929d0e0e4736", "the handler runs in the call's span");
    let (_, text) = server.get("/metrics").await;
    assert!(text.contains(r#"# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"}"#), "{text}");
}

#[tokio::test]
async fn a_service_that_is_not_here_is_named() {
    let server = Running::start(SOON).await;
    let status = ControlClient::new(server.channel().await).status(StatusRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().ends_with("`/nanogrid.v1.Control/Status`"), "{status}");
}

#[tokio::test]
async fn control_answers_on_the_ops_port() {
    let server = Running::start(SOON).await;
    let channel = endpoint(&server.ops.to_string()).unwrap().connect().await.unwrap();
    let status = ControlClient::new(channel).status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.version, "1.2.3");
}

#[tokio::test]
async fn a_drain_tells_watchers_first_and_answers_what_is_in_flight() {
    let mut server = Running::start(Drain { serve_on: Duration::from_millis(700), ..SOON }).await;
    server.health.set("intent", true);
    let channel = server.channel().await;
    let service = "intent".to_owned();
    let mut changes =
        HealthClient::new(channel.clone()).watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(changes.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let mut client = ExpertInfoClient::new(channel);
    // Begun before the drain, ends after GOAWAY.
    let mut long = client.clone();
    let long = tokio::spawn(async move { long.get_info(info(1500, None)).await });
    client.get_info(info(0, None)).await.unwrap();
    server.stop();
    assert_eq!(changes.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(server.get("/readyz").await.0, 503);
    client.get_info(info(0, None)).await.expect("calls are still taken after NOT_SERVING");

    assert!(changes.next().await.is_none(), "the stream ends, and does not hold up the drain");
    long.await.unwrap().expect("a call in flight is answered");
    drop(client);
    let begun = Instant::now();
    server.served.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "well before the hard stop");
    assert!(TcpStream::connect(server.grpc).await.is_err());
}

#[tokio::test]
async fn a_silent_connection_holds_a_drain_up_to_the_hard_stop_only() {
    let drain = Drain { serve_on: Duration::from_millis(10), hard_stop: Duration::from_millis(300) };
    let mut server = Running::start(drain).await;
    let mut silent = TcpStream::connect(server.grpc).await.unwrap();
    // Known to be accepted: a call that came after it was answered.
    ExpertInfoClient::new(server.channel().await).get_info(info(0, None)).await.unwrap();
    let begun = Instant::now();
    server.stop();
    server.served.await.unwrap().unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(310), "it was waited for: {took:?}");
    assert!(took < Duration::from_secs(5), "and not for ever: {took:?}");
    let _ = silent.write_all(b"late").await;
}

#[tokio::test]
async fn an_address_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let listen = Server::bind(Options { listen: address, ..options(SOON) }).await.unwrap_err();
    assert_eq!(
        listen.to_string(),
        format!("address in use: {address}: stop the other process or choose another with `--listen`")
    );
    let ops = Server::bind(Options { ops: address, ..options(SOON) }).await.unwrap_err();
    assert!(ops.to_string().ends_with("`--ops`"), "{ops}");
    let elsewhere = Options { listen: SocketAddr::from(([192, 0, 2, 1], 1)), ..options(SOON) };
    let elsewhere = Server::bind(elsewhere).await.unwrap_err().to_string();
    assert!(elsewhere.starts_with("cannot listen on 192.0.2.1:1: "), "{elsewhere}");
}

#[test]
fn an_address_that_is_none_is_named() {
    for (address, problem) in [
        ("https://a:1", "only http is spoken here"),
        ("127.0.0.1", "it has no port"),
        ("a b:1", "invalid uri"),
        ("", ""),
    ] {
        let error = endpoint(address).unwrap_err().to_string();
        assert!(error.starts_with(problem) && error.ends_with(&format!("`{address}`")), "{error}");
    }
    endpoint("http://127.0.0.1:8001").unwrap();
    endpoint("localhost:8001").unwrap();
    endpoint("[::1]:8001").unwrap();
}
