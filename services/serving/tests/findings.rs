//! What tonic's server and channel do, and why this crate decides on deadlines and drains itself. Nothing of this crate
//! runs here: a test that fails after an upgrade says that a reason has gone, or has become another one.
//! `server/calls.rs` and `server/drain.rs` hold our own server to the opposite.

use std::{net::SocketAddr, time::Duration};

use hyper_util::{client::legacy, rt::TokioExecutor};
use nanogrid_proto::v1::{
    GetInfoRequest, GetInfoResponse,
    expert_info_client::ExpertInfoClient,
    expert_info_server::{ExpertInfo, ExpertInfoServer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

/// Takes its time for each answer.
struct Slow(Duration);

#[tonic::async_trait]
impl ExpertInfo for Slow {
    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        tokio::time::sleep(self.0).await;
        Ok(Response::new(GetInfoResponse::default()))
    }
}

/// A server that serves until it is stopped, as tonic does it.
struct Raw {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Raw {
    async fn start(mut server: Server, takes: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let server = server.add_service(ExpertInfoServer::new(Slow(takes)));
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server
                .serve_with_incoming_shutdown(TcpIncoming::from(listener), stopped)
                .await
                .expect("it serves");
        });
        Self { address, stop, served }
    }

    async fn client(&self) -> ExpertInfoClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        ExpertInfoClient::new(endpoint.connect().await.expect("it listens"))
    }
}

const LONG: Duration = Duration::from_secs(60);

fn with_timeout(timeout: Duration) -> Request<GetInfoRequest> {
    let mut request = Request::new(GetInfoRequest {});
    request.set_timeout(timeout);
    request
}

/// Finding 5.
#[tokio::test]
async fn tonic_says_cancelled_when_a_grpc_timeout_has_passed() {
    let server = Raw::start(Server::builder(), LONG).await;
    let short = Duration::from_millis(20);
    let status = server.client().await.get_info(with_timeout(short)).await.expect_err("too late");
    assert_eq!(status.code(), Code::Cancelled, "of the channel: {status}");

    let plain = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", server.address).parse().expect("an address");
    let mut client = ExpertInfoClient::with_origin(plain, origin);
    let status = client.get_info(with_timeout(short)).await.expect_err("too late");
    assert_eq!(status.code(), Code::Cancelled, "of the server: {status}");
}

/// Finding 6.
#[tokio::test(flavor = "multi_thread")]
async fn tonic_loses_calls_when_a_busy_connection_is_closed_gracefully() {
    let short_lived = Server::builder().max_connection_age(Duration::from_millis(20));
    let server = Raw::start(short_lived, Duration::from_millis(1)).await;
    let client = server.client().await;
    let begun = Instant::now();
    let call = async || {
        let mut client = client.clone();
        let mut n_lost = 0;
        while begun.elapsed() < Duration::from_millis(1500) {
            if let Err(status) = client.get_info(GetInfoRequest {}).await {
                // Two faces of a call that nobody has seen: it was still in the channel's queue, or its number
                // was above the last one that GOAWAY spoke of.
                assert!(matches!(status.code(), Code::Cancelled | Code::Internal), "{status:?}");
                n_lost += 1;
            }
        }
        n_lost
    };
    let n_lost: usize = futures::future::join_all((0..32).map(|_| call())).await.into_iter().sum();
    // Dozens of connections come and go in that time, and most of them lose one or more.
    assert!(n_lost > 0, "a graceful GOAWAY loses nothing any more");
}

/// Finding 7.
#[tokio::test]
async fn tonic_cuts_calls_when_an_aging_connection_is_given_a_grace() {
    let age = Duration::from_millis(20);
    let cutting = Server::builder().max_connection_age(age).max_connection_age_grace(age);
    let server = Raw::start(cutting, Duration::from_millis(500)).await;
    let cut = server.client().await.get_info(GetInfoRequest {}).await;
    assert!(cut.is_err(), "cut after age and grace: {cut:?}");

    let server = Raw::start(Server::builder().max_connection_age(age), Duration::from_millis(500)).await;
    server.client().await.get_info(GetInfoRequest {}).await.expect("without a grace, it is waited for");
}

/// Finding 8.
#[tokio::test]
async fn tonic_waits_for_a_silent_connection_for_ever() {
    let mut server = Raw::start(Server::builder(), Duration::ZERO).await;
    let silent = TcpStream::connect(server.address).await.expect("it listens");
    // Known to be accepted: a call that came after it was answered.
    server.client().await.get_info(GetInfoRequest {}).await.expect("answered");
    let _ = server.stop.send(());
    let waited = timeout(Duration::from_millis(1500), &mut server.served).await;
    assert!(waited.is_err(), "it does not wait any more");
    drop(silent);
    server.served.await.expect("that was all it waited for");
}
