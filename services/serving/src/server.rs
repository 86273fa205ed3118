//! The life of a server: bind, serve, drain.
//!
//! A drain loses no call: first everybody is told to look elsewhere (NOT_SERVING), then calls are taken until they
//! have heard it, then connections are asked to close (GOAWAY) and calls in flight are waited for. tonic waits
//! for ever when a single connection stays silent, so which ones to wait for, and how long, is decided here.

use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::ListenerExt;
use futures::StreamExt;
use futures::future::Either;
use nanogrid_telemetry::metrics::{Panics, Registry, RpcMetrics};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::network::{self, Listener, Network};
use crate::peer::Peers;
use crate::{Error, Health, Services, ops, stack};

/// Where to listen, and how to stop.
#[derive(Clone, Debug)]
pub struct Options {
    /// gRPC. Port 0 is any free one.
    pub listen: SocketAddr,
    /// Metrics and probes over HTTP.
    pub ops: SocketAddr,
    /// The largest message in bytes. Each service enforces it (`max_decoding_message_size`); here it only bounds
    /// what a connection may have in flight.
    pub max_message: usize,
    /// How to stop.
    pub drain: Drain,
}

/// The times of a drain; together below the grace period that Kubernetes gives (30 s).
#[derive(Clone, Debug)]
pub struct Drain {
    /// How long calls are taken after NOT_SERVING: as long as clients need to hear of it.
    pub serve_on: Duration,
    /// How long calls in flight are waited for after that.
    pub hard_stop: Duration,
}

/// Bound, not serving yet: whoever connects now waits.
#[derive(Debug)]
pub struct Server {
    options: Options,
    listen: Listener,
    ops: Listener,
    // Known when they were bound; asking the socket again could fail.
    addresses: (SocketAddr, SocketAddr),
    health: Health,
}

impl Server {
    /// Takes both ports, or says which one it cannot have.
    pub async fn bind(options: Options) -> Result<Self, Error> {
        Self::bind_in(&Network::default(), options).await
    }

    /// The same in any network.
    pub async fn bind_in(network: &Network, options: Options) -> Result<Self, Error> {
        let error = |address, flag| move |source| Error::bind(address, flag, source);
        let (listen_addr, listen) =
            network.listen(options.listen).await.map_err(error(options.listen, "--listen"))?;
        let (ops_addr, ops) = network.listen(options.ops).await.map_err(error(options.ops, "--ops"))?;
        Ok(Self { options, listen, ops, addresses: (listen_addr, ops_addr), health: Health::new() })
    }

    /// Where gRPC listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.0
    }

    /// Where the ops side listens.
    pub fn ops_addr(&self) -> SocketAddr {
        self.addresses.1
    }

    /// The health that this server reports.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves until `shutdown` resolves, then drains; returns when nothing is left to answer, or at the hard stop.
    /// Connections that never had a call are not waited for; they end with the process.
    ///
    /// `ops_routes` are served beside `/metrics` on the ops port, HTTP/1 and h2c. Dropping the future stops listening
    /// without a drain; connections that are open end with their clients or with the process.
    pub async fn serve(
        self,
        services: Services,
        ops_routes: Option<axum::Router>,
        registry: Registry,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let Self { options, listen, ops, addresses, health } = self;
        let Drain { serve_on, hard_stop } = options.drain;
        tracing::info!(grpc = %addresses.0, ops = %addresses.1, "serving");

        let services = services.with(health.server()).with_reflection();
        let metrics = RpcMetrics::server(&registry, services.methods());
        let stack = stack::stack(services.into_routes(), metrics, Panics::new(&registry));
        let peers = Peers::default();
        let goaway = CancellationToken::new();
        let transport = transport(options.max_message);
        let closing = goaway.clone().cancelled_owned();
        let grpc = match listen {
            Listener::Tcp(listen) => {
                let incoming = TcpIncoming::from(listen).with_nodelay(Some(true));
                let incoming = incoming.with_keepalive(Some(TCP_KEEP_ALIVE)).map(|accepted| {
                    accepted.map(|connection| peers.accept(connection.peer_addr().ok(), connection))
                });
                Either::Left(transport.serve_with_incoming_shutdown(stack, incoming, closing))
            }
            Listener::Other { incoming, .. } => {
                let incoming =
                    incoming.map(|accepted| accepted.map(|connection| peers.accept(None, connection)));
                Either::Right(transport.serve_with_incoming_shutdown(stack, incoming, closing))
            }
        };

        let routes = ops::router(registry, health.clone()).merge(ops_routes.unwrap_or_default());
        // No drain of its own: the ops side is there for as long as there is something to ask about.
        let ops = match ops {
            Listener::Tcp(ops) => {
                let ops = ops.tap_io(|connection| {
                    // A probe that is answered late is still answered.
                    let _ = connection.set_nodelay(true);
                });
                Either::Left(axum::serve(ops, routes).into_future())
            }
            Listener::Other { address, incoming } => {
                Either::Right(axum::serve(network::Ops { address, incoming }, routes).into_future())
            }
        };

        let drain = async {
            shutdown.await;
            tracing::info!(?serve_on, ?hard_stop, "draining");
            health.drain();
            tokio::time::sleep(serve_on).await;
            goaway.cancel();
            // Each watcher is a call in flight that would never end by itself.
            health.close();
            if tokio::time::timeout(hard_stop, peers.answered()).await.is_err() {
                tracing::warn!(?hard_stop, "hard stop: connections were still open");
            }
        };

        tokio::select! {
            served = grpc => served?,
            served = ops => served.map_err(Error::Ops)?,
            () = drain => {}
        }
        tracing::info!("stopped");
        Ok(())
    }
}

fn transport(max_message: usize) -> tonic::transport::Server {
    let window = u32::try_from(max_message).unwrap_or(u32::MAX).clamp(LEAST_WINDOW, MOST_WINDOW);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_LIMIT))
        .initial_stream_window_size(window)
        .initial_connection_window_size(4 * window)
        .max_frame_size(MAX_FRAME)
        // One router speaks for all its clients over one connection; queues further in are the ones that refuse.
        .max_concurrent_streams(MAX_STREAMS)
        // The same router cancels many at once when its own clients leave; the default, 20, would cost it the
        // connection.
        .http2_max_pending_accept_reset_streams(Some(MAX_RESETS))
}

/// Notices clients that vanished without a word, in HTTP/2 and below it.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(10);
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(30);

/// HTTP/2's own default.
const LEAST_WINDOW: u32 = 65_535;
/// An image or a few seconds of audio arrive without a round trip for more window.
const MOST_WINDOW: u32 = 4 << 20;
const MAX_FRAME: u32 = 1 << 20;
const MAX_STREAMS: u32 = 4096;
const MAX_RESETS: usize = 1024;
