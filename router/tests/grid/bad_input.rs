//! What a client can get wrong, each with its status and the field's name. The router is still there afterwards.

use std::time::Duration;

use bytes::Bytes;
use nanogrid_proto::v1::{
    FeedbackRequest, InferOptions, InferRequest, RouteRequest, Series, infer_request::Payload,
};
use nanogrid_testkit::expert::ScriptedExpert;
use tonic::{
    Code::{DeadlineExceeded, InvalidArgument, NotFound},
    metadata::MetadataValue,
};

use crate::support::*;

async fn intent() -> (ScriptedExpert, Grid) {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    (intent, grid)
}

/// Refused with this field and these words, and never seen by the expert; a good request still passes.
async fn check(request: InferRequest, words: &str) {
    let (intent, grid) = intent().await;
    assert_status(grid.infer(request.clone()).await, InvalidArgument, words);
    let route = grid.client().route(RouteRequest { request: Some(request) }).await;
    assert_status(route, InvalidArgument, words);
    assert_eq!(intent.n_calls(), 0);
    assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");
}

fn payload(payload: Payload) -> InferRequest {
    InferRequest { payload: Some(payload), ..text_for(&[]) }
}

fn options(options: InferOptions) -> InferRequest {
    with_options(text_for(&["intent"]), options)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_payload() {
    check(InferRequest { payload: None, ..text_for(&["intent"]) }, "payload: must be one of").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_without_a_word() {
    check(payload(Payload::Text(String::new())), "text: must hold more than white space").await;
    check(payload(Payload::Text(" \t\n\u{a0}".to_owned())), "text: must hold more than white space").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_over_the_limit() {
    let words = "text: must be at most 65536 bytes (the router's setting `request.max-text-bytes`): 10485760";
    check(payload(Payload::Text("x".repeat(10 << 20))), words).await;
    let instruction = InferRequest { instruction: "x".repeat(65_537), ..text_for(&[]) };
    check(instruction, "instruction: must be at most 65536 bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_that_is_empty_or_over_the_limit() {
    check(payload(Payload::Image(Bytes::new())), "image: must not be empty").await;
    check(payload(Payload::Audio(Bytes::from(vec![0; (16 << 20) + 1]))), "audio: must be at most 16777216")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_without_a_shape() {
    let series =
        |values: &[f32], channels| payload(Payload::Series(Series { values: values.to_vec(), channels }));
    check(series(&[1.0], 0), "series.channels: must be at least 1: 0").await;
    check(series(&[1.0, 2.0, 3.0], 2), "series.channels: must divide the number of values, which is 3: 2")
        .await;
    check(series(&[1.0], u32::MAX), "series.channels: must divide").await;
    check(series(&[], 1), "series.values: must not be empty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_no_enum_has() {
    check(
        options(InferOptions { merge: 99, ..Default::default() }),
        "options.merge: has a value that does not exist: 99",
    )
    .await;
    let criticality = InferRequest { criticality: -1, ..text_for(&["intent"]) };
    check(criticality, "criticality: has a value that does not exist: -1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confidence_that_is_none() {
    for confidence in [f32::NAN, f32::INFINITY, 2.0, -0.1] {
        let options = options(InferOptions { min_confidence: Some(confidence), ..Default::default() });
        check(options, "options.min_confidence: must be between 0 and 1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_none() {
    for (seconds, nanos, words) in [
        (0, 0, "must be more than nothing: 0 s and 0 ns"),
        (-1, 0, "must not be negative"),
        (0, -1, "must not be negative"),
        (i64::MIN, i32::MIN, "must not be negative"),
        (i64::MAX, 0, "is out of the range of a duration"),
        (1, 1_000_000_000, "is out of the range of a duration"),
    ] {
        let deadline = Some(prost_types::Duration { seconds, nanos });
        let words = format!("options.deadline: {words}");
        check(options(InferOptions { deadline, ..Default::default() }), &words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_beyond_any_limit_is_cut_to_the_routers_own() {
    let (_intent, grid) = intent().await;
    let deadline = Some(prost_types::Duration { seconds: 315_576_000_000, nanos: 0 });
    let request = options(InferOptions { deadline, ..Default::default() });
    let route = grid.client().route(RouteRequest { request: Some(request) }).await.unwrap().into_inner();
    let limit: Duration = route.calls[0].time_limit.unwrap().try_into().unwrap();
    assert!(limit <= Duration::from_millis(9_500), "{limit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn experts_that_are_named_twice_or_take_something_else() {
    check(text_for(&["intent", "intent"]), "experts: must name each expert once: `intent`").await;
    let image =
        InferRequest { payload: Some(Payload::Image(Bytes::from_static(b"x"))), ..text_for(&["intent"]) };
    check(image, "experts: names `intent`, which takes text, and the payload is images").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_that_does_not_exist() {
    let (_intent, grid) = intent().await;
    let words = "there is no expert `weather` in this grid: choose from `intent`";
    assert_status(grid.infer(text_for(&["intent", "weather"])).await, NotFound, words);
    assert_status(grid.infer(text_for(&["../../etc"])).await, NotFound, "there is no expert `../../etc`");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_experts_than_there_can_be() {
    let (_intent, grid) = intent().await;
    let many = options(InferOptions { max_experts: u32::MAX, top_k: u32::MAX, ..Default::default() });
    assert_eq!(label(&grid.infer(many).await.unwrap(), "intent"), "transfer");
}

/// A request with one more header.
async fn with_header(
    name: &'static str,
    value: &[u8],
) -> Result<tonic::Response<nanogrid_proto::v1::InferResponse>, tonic::Status> {
    let (_intent, grid) = intent().await;
    let mut request = tonic::Request::new(text_for(&["intent"]));
    let value = http::HeaderValue::from_bytes(value).expect("HTTP allows it");
    let mut headers = http::HeaderMap::new();
    headers.insert(name, value);
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
    grid.client().infer(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_say_nothing_we_know() {
    for version in ["", "0", "-1", "+1", "01", "1.0", "latest", "99999999999999999999"] {
        let words = "x-nanogrid-version: must be a positive integer, `stable` or `canary`";
        assert_status(with_header("x-nanogrid-version", version.as_bytes()).await, InvalidArgument, words);
    }
    let words =
        "x-nanogrid-criticality: must be one of SHEDDABLE, SHEDDABLE_PLUS, CRITICAL, CRITICAL_PLUS: `very`";
    assert_status(with_header("x-nanogrid-criticality", b"very").await, InvalidArgument, words);
    let words = "x-nanogrid-sticky: must be visible ASCII";
    assert_status(with_header("x-nanogrid-sticky", "\u{fc}ber".as_bytes()).await, InvalidArgument, words);
    let words = "x-nanogrid-sticky: must be at most 256 bytes long: 257";
    assert_status(with_header("x-nanogrid-sticky", &[b'x'; 257]).await, InvalidArgument, words);
    let words = "x-nanogrid-whatever: must be visible ASCII";
    assert_status(with_header("x-nanogrid-whatever", &[0xff]).await, InvalidArgument, words);
    with_header("x-nanogrid-whatever", b"fine").await.expect("unknown ones are carried on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_given_twice() {
    let (_intent, grid) = intent().await;
    let mut request = tonic::Request::new(text_for(&["intent"]));
    for version in ["1", "2"] {
        request.metadata_mut().append("x-nanogrid-version", MetadataValue::try_from(version).unwrap());
    }
    assert_status(
        grid.client().infer(request).await,
        InvalidArgument,
        "x-nanogrid-version: must be given once",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_exist() {
    let words = "expert `intent` has no version `7`: choose from `1`";
    assert_status(with_header("x-nanogrid-version", b"7").await, NotFound, words);
    let words = "expert `intent` has no version `canary`: choose from `1`";
    assert_status(with_header("x-nanogrid-version", b"canary").await, NotFound, words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_that_is_none() {
    // One that has passed already, tonic's client answers by itself.
    assert_status(with_header("grpc-timeout", b"soon").await, InvalidArgument, "grpc-timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_with_no_time_for_a_call() {
    let (intent, grid) = intent().await;
    let deadline = Some(prost_types::Duration { seconds: 0, nanos: 1 });
    let request = options(InferOptions { deadline, ..Default::default() });
    assert_status(
        grid.infer(request).await,
        DeadlineExceeded,
        "the deadline had passed before an expert was asked",
    );
    assert_eq!(intent.n_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_about_nothing() {
    let (_intent, grid) = intent().await;
    let good =
        FeedbackRequest { id: "7".to_owned(), expert: "intent".to_owned(), kind: 2, ..Default::default() };
    let feedback = async |request| grid.client().feedback(request).await;
    feedback(good.clone()).await.expect("it is counted");
    assert_metric(&metrics(&grid).await, "nanogrid_feedback_total", &["intent", "wrong_answer"], "1");
    assert_status(
        feedback(FeedbackRequest { id: String::new(), ..good.clone() }).await,
        InvalidArgument,
        "id: must",
    );
    assert_status(
        feedback(FeedbackRequest { kind: 0, ..good.clone() }).await,
        InvalidArgument,
        "kind: must be given",
    );
    assert_status(
        feedback(FeedbackRequest { kind: 9, ..good.clone() }).await,
        InvalidArgument,
        "kind: has a value",
    );
    let unknown = FeedbackRequest { expert: "weather".to_owned(), ..good.clone() };
    assert_status(feedback(unknown).await, NotFound, "there is no expert `weather`");
    let version = FeedbackRequest { version: "x".to_owned(), ..good.clone() };
    assert_status(feedback(version).await, InvalidArgument, "version: must be a positive integer");
    assert_status(
        feedback(FeedbackRequest { version: "9".to_owned(), ..good }).await,
        NotFound,
        "no version `9`",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_about_nothing() {
    let (_intent, grid) = intent().await;
    assert_status(
        grid.client().route(RouteRequest::default()).await,
        InvalidArgument,
        "request: must be given",
    );
}
