use std::{net::SocketAddr, time::Duration};

use nanogrid_proto::v1::{
    GetInfoRequest, GetInfoResponse,
    expert_info_server::{ExpertInfo, ExpertInfoServer},
};
use nanogrid_serving::{Deadline, Drain, Error, Health, Options, Server, Services, endpoint};
use nanogrid_telemetry::{metrics::Registry, trace_id};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tonic::{Request, Response, Status, transport::Channel};
use tracing::Span;

/// Answers with its trace and with the time left, or keeps its callers waiting for as long as they say.
pub(crate) struct Fake;

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

/// A server that runs until it is stopped.
pub(crate) struct Running {
    pub(crate) grpc: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) health: Health,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<Result<(), Error>>,
}

pub(crate) const SOON: Drain =
    Drain { serve_on: Duration::from_millis(100), hard_stop: Duration::from_secs(20) };

pub(crate) fn options(drain: Drain) -> Options {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Options { listen: any, ops: any, max_message: 64 << 20, drain }
}

impl Running {
    pub(crate) async fn start(drain: Drain) -> Self {
        let server = Server::bind(options(drain)).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (grpc, ops, health) = (server.local_addr(), server.ops_addr(), server.health());
        let services = Services::new().with(ExpertInfoServer::new(Fake));
        let on_ops = Services::new().with(ExpertInfoServer::new(Fake)).into_router();
        let served = tokio::spawn(server.serve(services, Some(on_ops), Registry::new(), async {
            let _ = stopped.await;
        }));
        Self { grpc, ops, health, stop: Some(stop), served }
    }

    pub(crate) async fn channel(&self) -> Channel {
        endpoint(&self.grpc.to_string()).unwrap().connect().await.unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.ops).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }
}

pub(crate) fn info(wait_ms: u64, timeout: Option<&'static str>) -> Request<GetInfoRequest> {
    let mut request = Request::new(GetInfoRequest {});
    request.metadata_mut().insert("wait-ms", wait_ms.into());
    if let Some(timeout) = timeout {
        request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    }
    request
}
