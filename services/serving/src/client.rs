//! How channels to other servers are configured, so that all of them notice a dead peer equally soon.

use std::time::Duration;

use tonic::transport::Endpoint;

use crate::Error;

/// A channel to one server, to be connected. `address` is `host:port` or `http://host:port`.
///
/// Connect times out after a second, a silent peer is noticed within fifteen, idle connections included. It sets no
/// limit on calls: tonic would report it as `CANCELLED`.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let wrong = |problem: String| Error::Address { address: address.to_owned(), problem };
    let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let uri: http::Uri = uri.parse().map_err(|error| wrong(format!("{error}")))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("only http is spoken here".to_owned()));
    }
    if uri.port_u16().is_none() {
        return Err(wrong("it has no port".to_owned()));
    }
    Ok(Endpoint::from(uri)
        .connect_timeout(CONNECT_LIMIT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_LIMIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW))
}

const CONNECT_LIMIT: Duration = Duration::from_secs(1);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(5);

/// Bytes in flight per stream: answers of usual size arrive without a round trip for more window.
const WINDOW: u32 = 1 << 20;
