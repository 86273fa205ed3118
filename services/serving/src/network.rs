//! What connections are made of: TCP, unless a test puts a simulated network in its place to break it. Router and servers
//! run unchanged over either; nothing but this file knows that there are two.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
};
use tonic::transport::{Channel, Endpoint, server::Connected};

/// Opens connections and takes them. The default is TCP.
#[derive(Clone, Debug, Default)]
pub struct Network(Option<Arc<dyn Transport>>);

/// Another network than the machine's own.
pub trait Transport: std::fmt::Debug + Send + Sync + 'static {
    /// Opens a connection to `host:port`.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Connection>>;

    /// Takes a port, 0 being any free one; says which it is.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<(SocketAddr, Incoming)>>;
}

/// Connections that others open, one after another.
pub type Incoming = BoxStream<'static, io::Result<Connection>>;

/// A connection of whatever kind.
pub struct Connection(Box<dyn Bytes>);

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Bytes for T {}

impl Network {
    /// Another one than TCP.
    pub fn of(transport: impl Transport) -> Self {
        Self(Some(Arc::new(transport)))
    }

    /// Opens a channel as [`crate::endpoint`] describes it.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, tonic::transport::Error> {
        let Some(transport) = self.0.clone() else { return endpoint.connect().await };
        let connector = tower::service_fn(move |uri: http::Uri| {
            let connection = transport.connect(uri.authority().map_or("", http::uri::Authority::as_str));
            async { connection.await.map(TokioIo::new) }
        });
        endpoint.connect_with_connector(connector).await
    }

    pub(crate) async fn listen(&self, address: SocketAddr) -> io::Result<(SocketAddr, Listener)> {
        match &self.0 {
            None => {
                let listener = TcpListener::bind(address).await?;
                Ok((listener.local_addr()?, Listener::Tcp(listener)))
            }
            Some(transport) => {
                let (address, incoming) = transport.listen(address).await?;
                Ok((address, Listener::Other { address, incoming }))
            }
        }
    }
}

/// A port that was taken.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Other { address: SocketAddr, incoming: Incoming },
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(listener) => listener.fmt(f),
            Self::Other { address, incoming: _ } => f.debug_tuple("Other").field(address).finish(),
        }
    }
}

/// A listener of another network, as axum takes it.
pub(crate) struct Ops {
    pub(crate) address: SocketAddr,
    pub(crate) incoming: Incoming,
}

impl axum::serve::Listener for Ops {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.incoming.next().await {
                Some(Ok(connection)) => return (connection, self.address),
                Some(Err(_)) => {}
                // Nobody comes any more; those who are here are still served.
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connection {
    /// From whatever carries bytes both ways.
    pub fn new(bytes: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Box::new(bytes))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// Whose it is, only TCP's own kind of connection can tell.
impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
