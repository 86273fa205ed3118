//! Stands in front of an expert and passes everything on, until it is told to fail: then every inference is refused at
//! once, as by a process whose model is broken, while health and connection stay as they are. It also counts what
//! reaches it, so that the router's own count of attempts need not be believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{Request, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tower::{Service, ServiceExt};

use crate::Error;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Gone when dropped.
#[derive(Debug)]
pub(crate) struct Front {
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    fails: AtomicBool,
    n_calls: AtomicU64,
}

impl Front {
    /// Listens at `address` for the expert at `behind`.
    pub(crate) async fn start(address: SocketAddr, behind: SocketAddr) -> Result<Self, Error> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let uri = format!("http://{behind}");
        // Lazily: the expert behind may start later, and again.
        let expert = Endpoint::from_shared(uri).expect("an address is a host and a port").tcp_nodelay(true);
        let (expert, state) = (expert.connect_lazy(), Arc::<State>::default());
        let handled = Arc::clone(&state);
        let routes = axum::Router::new()
            .fallback(move |request: Request<Body>| answer(Arc::clone(&handled), expert.clone(), request));
        let server = tokio::spawn(async move {
            // It ends with the task: there is nothing to drain.
            let _ = Server::builder().add_routes(Routes::from(routes)).serve_with_incoming(incoming).await;
        });
        Ok(Self { state, server })
    }

    /// From now on every inference fails, or none.
    pub(crate) fn set_failing(&self, fails: bool) {
        self.state.fails.store(fails, Ordering::Relaxed);
    }

    /// Inferences that came here so far, refused ones included.
    pub(crate) fn n_calls(&self) -> u64 {
        self.state.n_calls.load(Ordering::Relaxed)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(state: Arc<State>, mut expert: Channel, request: Request<Body>) -> Response<Body> {
    if request.uri().path() == INFER {
        state.n_calls.fetch_add(1, Ordering::Relaxed);
        if state.fails.load(Ordering::Relaxed) {
            return Status::unavailable("fails on purpose").into_http();
        }
    }
    let passed_on = async {
        let expert = expert.ready().await?;
        expert.call(request.map(tonic::body::Body::new)).await
    };
    match passed_on.await {
        Ok(response) => response.map(Body::new),
        Err(error) => Status::unavailable(error.to_string()).into_http(),
    }
}
