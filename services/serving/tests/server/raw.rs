//! A client of HTTP/2 by hand, for what no well-behaved client does.

use std::net::SocketAddr;

use nanogrid_proto::v1::expert_info_server::SERVICE_NAME;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Connects, and says nothing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Greets, as every client begins.
    pub(crate) async fn greet(&mut self) {
        self.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        self.frame(SETTINGS, 0, 0, &[]).await;
    }

    /// The beginning of a call; its message is still to come.
    pub(crate) async fn begin_call(&mut self) {
        // HPACK: POST and http by their number, the rest as it is.
        let mut headers = vec![0x83, 0x86];
        let mut literal = |name: &[u8], value: &str| {
            headers.extend_from_slice(name);
            headers.push(u8::try_from(value.len()).unwrap());
            headers.extend_from_slice(value.as_bytes());
        };
        literal(&[0x04], &format!("/{SERVICE_NAME}/GetInfo"));
        literal(&[0x01], "test");
        literal(&[0x0f, 0x10], "application/grpc");
        literal(&[0x00, 2, b't', b'e'], "trailers");
        self.frame(HEADERS, END_HEADERS, 1, &headers).await;
    }

    /// The message of the call, and its end.
    pub(crate) async fn end_call(&mut self) {
        self.frame(DATA, END_STREAM, 1, &[0; 5]).await;
    }

    /// Waits until the server has asked to close the connection. It does not answer, as a healthy client would.
    pub(crate) async fn until_goaway(&mut self) {
        while self.read().await.expect("the connection is open").0 != GOAWAY {}
    }

    /// Reads to the end of the connection: was the call answered to its end?
    pub(crate) async fn answered(mut self) -> bool {
        let mut ended = false;
        while let Some((kind, flags)) = self.read().await {
            ended |= kind == HEADERS && flags & END_STREAM != 0;
        }
        ended
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        self.0.write_all(&[0, 0, length, kind, flags, 0, 0, 0, stream]).await.unwrap();
        self.0.write_all(payload).await.unwrap();
    }

    /// Kind and flags of the next frame; `None` at the end.
    async fn read(&mut self) -> Option<(u8, u8)> {
        const PING: u8 = 6;
        const ACK: u8 = 1;
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        if (head[3], head[4]) == (PING, 0) {
            self.frame(PING, ACK, 0, &payload).await;
        }
        Some((head[3], head[4]))
    }
}
