//! Nobody listens where the traces should go. One test per file: a process has one tracer.

use std::time::Duration;

use nanogrid_telemetry::metrics::Registry;
use nanogrid_telemetry::{Error, Options, init};
use tokio::net::TcpListener;
use tokio::time::Instant;

#[tokio::test]
async fn a_collector_that_is_down_costs_spans_and_nothing_else() {
    // Bound and dropped: a port of our own on which nobody answers.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let options = Options { otlp_endpoint: Some(format!("http://{free}")), ..Options::default() };
    let guard = init("nanogrid-test", "1.2.3", &options).expect("a collector that is down is no error");
    assert!(matches!(init("nanogrid-test", "1.2.3", &options), Err(Error::AlreadySet)));

    let started = Instant::now();
    for _ in 0..3 {
        tracing::info_span!(target: "nanogrid_test", "call").in_scope(|| {});
    }
    assert!(started.elapsed() < Duration::from_secs(1), "spans are not waited for");

    let limit = Duration::from_secs(10);
    guard.shutdown(limit).await;
    assert!(started.elapsed() < limit + Duration::from_secs(5), "shutdown keeps to its limit");
    let text = Registry::new().encode();
    assert!(text.contains("\nnanogrid_spans_lost_total 3\n"), "{text}");
}
