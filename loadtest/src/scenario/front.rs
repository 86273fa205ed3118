//! Stands in front of an expert and passes everything on, until it is told to fail: then inferences are refused at once, as
//! by a process whose model is broken, or held up, as by one whose model has become too large; health and connection
//! stay as they are. It also counts what reaches it, so that the router's own count of attempts need not be believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
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

/// What is wrong with the expert behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// One of so many inferences is refused; 1 = all.
    Refuses(u64),
    /// Each inference takes so much longer.
    Slower(Duration),
}

#[derive(Debug)]
struct State {
    trouble: watch::Sender<Trouble>,
    n_calls: AtomicU64,
    n_refused: AtomicU64,
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
        let expert = expert.connect_lazy();
        let trouble = watch::Sender::new(Trouble::None);
        let state = Arc::new(State { trouble, n_calls: AtomicU64::new(0), n_refused: AtomicU64::new(0) });
        let handled = Arc::clone(&state);
        let routes = axum::Router::new()
            .fallback(move |request: Request<Body>| answer(Arc::clone(&handled), expert.clone(), request));
        let server = tokio::spawn(async move {
            // It ends with the task: there is nothing to drain.
            let _ = Server::builder().add_routes(Routes::from(routes)).serve_with_incoming(incoming).await;
        });
        Ok(Self { state, server })
    }

    /// From the next inference on.
    pub(crate) fn set(&self, trouble: Trouble) {
        self.state.trouble.send_replace(trouble);
    }

    /// Inferences that came here so far, refused ones included.
    pub(crate) fn n_calls(&self) -> u64 {
        self.state.n_calls.load(Ordering::Relaxed)
    }

    /// Inferences refused so far.
    pub(crate) fn n_refused(&self) -> u64 {
        self.state.n_refused.load(Ordering::Relaxed)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(state: Arc<State>, mut expert: Channel, request: Request<Body>) -> Response<Body> {
    if request.uri().path() == INFER {
        let call_idx = state.n_calls.fetch_add(1, Ordering::Relaxed);
        let trouble = *state.trouble.borrow();
        match trouble {
            Trouble::None => {}
            Trouble::Refuses(one_of) if call_idx.is_multiple_of(one_of) => {
                state.n_refused.fetch_add(1, Ordering::Relaxed);
                return Status::unavailable("fails on purpose").into_http();
            }
            Trouble::Refuses(_) => {}
            Trouble::Slower(by) => tokio::time::sleep(by).await,
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
