//! One trace from the client through the router to the expert.

use crate::support::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_client_reaches_the_experts_and_the_reply() {
    let telemetry = nanogrid_telemetry::Options { log: "off".to_owned(), ..Default::default() };
    let _guard =
        nanogrid_telemetry::init("nanogrid-router", "0", &telemetry).expect("the first in this process");
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let grid = Grid::start(&[entry("intent", &intent), entry("sentiment", &sentiment)]).await;
    let mut request = tonic::Request::new(text_for(&["intent", "sentiment"]));
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01").parse().unwrap());
    metadata.insert("x-nanogrid-criticality", "sheddable".parse().unwrap());
    metadata.insert("x-nanogrid-tenant", "blue".parse().unwrap());
    metadata.insert("authorization", "Bearer secret".parse().unwrap());
    let response = grid.client().infer(request).await.unwrap().into_inner();
    assert_eq!(response.trace_id, TRACE);
    let parents = [&intent, &sentiment].map(|expert| {
        let metadata = expert.seen().pop().expect("it was asked").metadata;
        assert_eq!(metadata.get("x-nanogrid-criticality").unwrap(), "SHEDDABLE");
        assert_eq!(metadata.get("x-nanogrid-tenant").unwrap(), "blue");
        assert!(metadata.get("authorization").is_none(), "what is for the router stays there");
        metadata.get("traceparent").expect("the context is carried on").to_str().unwrap().to_owned()
    });
    assert!(parents.iter().all(|parent| parent.starts_with(&format!("00-{TRACE}-"))), "{parents:?}");
    assert_ne!(parents[0], parents[1], "each call is a span of its own");
    assert!(
        parents.iter().all(|parent| !parent.contains("b7ad6b7169203331")),
        "below the router's: {parents:?}"
    );
}
