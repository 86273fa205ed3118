//! Which connections a drain has to wait for.
//!
//! HTTP/2 closes a connection by itself after GOAWAY, as soon as its last answer is written. tonic waits for all of
//! them, and one that never sent a byte (a port scan, a balancer's spare connection) is never over. So connections
//! count from their first call on: whoever never asked anything is not owed an answer.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::transport::server::Connected;

/// Those who are connected to a server. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    asked: TaskTracker,
}

/// A connection that counts from its first call until it closes.
#[derive(Debug)]
pub(crate) struct Counted<Io> {
    io: Io,
    peer: Peer,
}

/// The other side of a connection, in the extensions of each of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: Option<SocketAddr>,
    peers: Peers,
    counted: Arc<OnceLock<TaskTrackerToken>>,
}

impl Peers {
    /// A connection that has not asked anything yet; whose it is, not every network tells.
    pub(crate) fn accept<Io>(&self, address: Option<SocketAddr>, io: Io) -> Counted<Io> {
        Counted { io, peer: Peer { address, peers: self.clone(), counted: Arc::default() } }
    }

    /// Waits until every connection that ever had a call is closed. To be called after GOAWAY.
    pub(crate) async fn answered(&self) {
        // From now on `wait` returns when there are none.
        self.asked.close();
        loop {
            self.asked.wait().await;
            tokio::time::sleep(ON_ITS_WAY).await;
            if self.asked.is_empty() {
                return;
            }
        }
    }
}

impl Peer {
    /// Of the other side.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A call has come over this connection.
    pub(crate) fn asks(&self) {
        self.counted.get_or_init(|| self.peers.asked.token());
    }
}

impl<Io> Connected for Counted<Io> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Counted<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Counted<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The first call of a connection may have been sent just before its client saw GOAWAY: a slow round trip with a lost
/// packet in it takes about this long.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
