//! turmoil's network, as router and experts take it in place of TCP.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use futures::{FutureExt, future::BoxFuture, stream};
use nanogrid_serving::{
    Network,
    network::{Connection, Incoming, Transport},
};
use turmoil::net::{TcpListener, TcpStream};

/// Of the simulated host that uses it.
pub(crate) fn simulated() -> Network {
    Network::of(Simulated)
}

#[derive(Debug)]
struct Simulated;

impl Transport for Simulated {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Connection>> {
        let address = address.to_owned();
        async move { TcpStream::connect(address).await.map(Connection::new) }.boxed()
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<(SocketAddr, Incoming)>> {
        async move {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            let incoming: Incoming = Box::pin(stream::unfold(listener, async |listener| {
                let accepted = listener.accept().await;
                Some((accepted.map(|(connection, _)| Connection::new(connection)), listener))
            }));
            Ok((address, incoming))
        }
        .boxed()
    }
}

/// Of the host that listens: turmoil knows no other addresses.
pub(crate) fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}
