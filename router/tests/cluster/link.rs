//! The way from a router to the API server, which can be cut.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// See the module. Its port stays taken while it is cut, so that nobody else gets it.
#[derive(Debug)]
pub(crate) struct Link {
    address: String,
    is_open: watch::Sender<bool>,
}

impl Link {
    pub(crate) async fn to(server: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (is_open, open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *open.borrow() {
                    tokio::spawn(forward(client, server, open.clone()));
                }
            }
        });
        Self { address, is_open }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Connections break, and new ones are closed at once.
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

async fn forward(mut client: TcpStream, server: &str, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|is_open| !is_open) => {}
    }
}
