//! What operators and tools see: health, reflection, compression.

use tonic::codec::CompressionEncoding;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_router_serves_as_soon_as_it_has_a_grid() {
    let mut intent = labels("intent", "transfer");
    intent.kill();
    let grid = Grid::start_with(&[entry("intent", &intent)], |_| {}).await;
    let request = HealthCheckRequest { service: String::new() };
    let health = HealthClient::new(grid.channel.clone()).check(request).await.unwrap().into_inner();
    assert_eq!(health.status, ServingStatus::Serving as i32, "it can say who is missing");
    assert!(!grid.infer(text_for(&["intent"])).await.unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_requests_are_read() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        let mut client = grid.client().send_compressed(encoding).accept_compressed(encoding);
        let response = client.infer(text_for(&["intent"])).await.unwrap().into_inner();
        assert_eq!(label(&response, "intent"), "transfer");
    }
}
