use std::net::SocketAddr;

use nanogrid_serving::{Options, Server, endpoint};
use tokio::net::TcpListener;

use super::support::{SOON, options};

#[tokio::test]
async fn an_address_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let listen = Server::bind(Options { listen: address, ..options(SOON) }).await.unwrap_err();
    assert_eq!(
        listen.to_string(),
        format!("address in use: {address}: stop the other process or choose another with `--listen`")
    );
    let ops = Server::bind(Options { ops: address, ..options(SOON) }).await.unwrap_err();
    assert!(ops.to_string().ends_with("`--ops`"), "{ops}");
    let elsewhere = Options { listen: SocketAddr::from(([192, 0, 2, 1], 1)), ..options(SOON) };
    let elsewhere = Server::bind(elsewhere).await.unwrap_err().to_string();
    assert!(elsewhere.starts_with("cannot listen on 192.0.2.1:1: "), "{elsewhere}");
}

#[test]
fn an_address_that_is_none_is_named() {
    for (address, problem) in [
        ("https://a:1", "only http is spoken here"),
        ("127.0.0.1", "it has no port"),
        ("a b:1", "invalid uri"),
        ("", ""),
    ] {
        let error = endpoint(address).unwrap_err().to_string();
        assert!(error.starts_with(problem) && error.ends_with(&format!("`{address}`")), "{error}");
    }
    endpoint("http://127.0.0.1:8001").unwrap();
    endpoint("localhost:8001").unwrap();
    endpoint("[::1]:8001").unwrap();
}
