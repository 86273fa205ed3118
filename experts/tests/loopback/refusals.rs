//! Requests that cannot be answered: each gets its code and a message with the way out, and the host lives on.

use std::time::Duration;

use crate::host::{
    Running, asked, assert_refused, infer, int, outputs, request, serve, serve_with, settings, strings, texts,
};
use nanogrid_proto::{
    inference::{InferParameter, InferTensorContents, ModelInferRequest, infer_parameter::ParameterChoice},
    tensor::{Data, Tensor},
};
use nanogrid_testkit::packages;
use tempfile::TempDir;
use tonic::Code::{self, InvalidArgument, NotFound};

/// Serves `weather` and `add`.
async fn host() -> (TempDir, Running) {
    let dir = tempfile::tempdir().unwrap();
    let weather = packages::text_classifier(dir.path(), "weather", &["sun", "rain"]);
    let host = serve(&[weather, packages::add(dir.path(), "add")]).await;
    (dir, host)
}

/// Refused as expected, and the next good request is answered.
async fn check(message: ModelInferRequest, code: Code, says: &[&str]) {
    let (_dir, host) = host().await;
    assert_refused(infer(&host.client, message).await, code, says);
    let answer = infer(&host.client, texts("weather", &["rain"])).await.expect("the host lives on");
    assert_eq!(strings(&outputs(answer)["label"]), ["rain"]);
    host.stop().await;
}

/// One raw BYTES input, exactly as given.
fn raw(shape: &[i64], content: &[u8]) -> ModelInferRequest {
    let mut message = texts("weather", &["rain"]);
    message.inputs[0].shape = shape.to_vec();
    message.raw_input_contents = vec![content.to_vec().into()];
    message
}

#[tokio::test]
async fn empty_and_blank_texts_are_refused_by_row() {
    check(texts("weather", &["rain", ""]), InvalidArgument, &["`text`", "row 1", "empty"]).await;
    check(texts("weather", &[" \t\n\u{a0}"]), InvalidArgument, &["`text`", "row 0", "empty"]).await;
}

#[tokio::test]
async fn a_text_over_the_limit_is_told_the_limit_and_its_setting() {
    let long = "a".repeat((64 << 10) + 1);
    check(
        texts("weather", &["rain", &long]),
        InvalidArgument,
        &["row 1", "65537", "65536", "inference.max-text-bytes"],
    )
    .await;
    let just = "a".repeat(64 << 10);
    let (_dir, host) = host().await;
    infer(&host.client, texts("weather", &[&just])).await.expect("the limit itself is allowed");
    host.stop().await;
}

#[tokio::test]
async fn ten_megabytes_of_text_are_refused() {
    let long = "rain ".repeat(2 << 20);
    check(texts("weather", &[&long]), InvalidArgument, &["10485760", "inference.max-text-bytes"]).await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]);
    settings.server.max_message = 1 << 20;
    let host = serve_with(&settings).await;
    let answer = infer(&host.client, texts("weather", &[&"a".repeat(2 << 20)])).await;
    assert_refused(answer, Code::OutOfRange, &["1048576"]);
    infer(&host.client, texts("weather", &["rain"])).await.expect("the next one is answered");
    host.stop().await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused_with_row_and_byte() {
    let rows = vec!["rain".into(), b"rain \xff rain".to_vec().into()];
    let message =
        request("weather", vec![Tensor { name: "text".into(), shape: vec![2], data: Data::Bytes(rows) }]);
    check(message, InvalidArgument, &["`text`", "row 1", "UTF-8", "byte 5"]).await;
}

#[tokio::test]
async fn a_length_prefix_that_lies_is_refused() {
    check(raw(&[1], b"\xff\xff\xff\xffrain"), InvalidArgument, &["`text`"]).await;
    check(raw(&[1], b"\x05\0\0\0rain"), InvalidArgument, &["`text`"]).await;
    check(raw(&[1], b"\x04\0\0"), InvalidArgument, &["`text`"]).await;
    check(raw(&[1], b"\x03\0\0\0rain"), InvalidArgument, &["`text`"]).await;
    check(raw(&[2], b"\x04\0\0\0rain"), InvalidArgument, &["`text`"]).await;
}

#[tokio::test]
async fn a_wrong_datatype_is_refused_with_the_right_one() {
    let numbers = Tensor { name: "text".into(), shape: vec![1], data: Data::I64(vec![7]) };
    check(request("weather", vec![numbers]), InvalidArgument, &["`text`", "INT64", "BYTES"]).await;
    let mut unknown = texts("weather", &["rain"]);
    unknown.inputs[0].datatype = "STRING".into();
    check(unknown, InvalidArgument, &["`text`", "STRING"]).await;
}

#[tokio::test]
async fn a_wrong_shape_is_refused_with_the_right_one() {
    check(raw(&[1, 1], b"\x04\0\0\0rain"), InvalidArgument, &["`text`", "[1, 1]", "[-1]"]).await;
    check(raw(&[], b"\x04\0\0\0rain"), InvalidArgument, &["`text`", "[]", "[-1]"]).await;
    check(raw(&[-1], b"\x04\0\0\0rain"), InvalidArgument, &["`text`", "-1"]).await;
    check(raw(&[i64::MAX, i64::MAX], b"\x04\0\0\0rain"), InvalidArgument, &["`text`"]).await;
    check(raw(&[i64::MIN], b"\x04\0\0\0rain"), InvalidArgument, &["`text`"]).await;
    let odd = vec![vector("a", &[1.0, 2.0]), vector("b", &[1.0])];
    check(request("add", odd), InvalidArgument, &["`b`", "1 rows", "2 rows of `a`"]).await;
}

#[tokio::test]
async fn no_rows_and_too_many_are_refused() {
    check(raw(&[0], b""), InvalidArgument, &["`text`", "no rows"]).await;
    check(texts("weather", &["rain"; 257]), InvalidArgument, &["`text`", "257", "256", "inference.max-rows"])
        .await;
    check(raw(&[16 << 20], &vec![0; 64 << 10]), InvalidArgument, &["16777216", "256"]).await;
    let (_dir, host) = host().await;
    let answer =
        infer(&host.client, texts("weather", &["rain"; 256])).await.expect("the limit itself is allowed");
    assert_eq!(outputs(answer)["label"].shape, [256, 1]);
    host.stop().await;
}

#[tokio::test]
async fn missing_unknown_and_repeated_tensors_are_refused() {
    let row = || Data::Bytes(vec!["rain".into()]);
    let named = |name: &str| Tensor { name: name.into(), shape: vec![1], data: row() };
    check(request("weather", vec![]), InvalidArgument, &["`text`", "missing", "BYTES [-1]"]).await;
    check(request("add", vec![vector("a", &[1.0])]), InvalidArgument, &["`b`", "missing"]).await;
    check(
        request("weather", vec![named("text"), named("texts")]),
        InvalidArgument,
        &["`texts`", "`text` BYTES"],
    )
    .await;
    check(request("weather", vec![named("text"), named("text")]), InvalidArgument, &["`text`", "twice"])
        .await;
    let mut nothing = texts("weather", &["rain"]);
    nothing.raw_input_contents.clear();
    check(nothing, InvalidArgument, &["unable to find data", "'text'"]).await;
}

#[tokio::test]
async fn raw_and_typed_contents_together_are_refused() {
    let mut both = texts("weather", &["rain"]);
    both.inputs[0].contents =
        Some(InferTensorContents { bytes_contents: vec!["rain".into()], ..Default::default() });
    check(both, InvalidArgument, &["raw_input_contents", "'text'"]).await;
}

#[tokio::test]
async fn an_unknown_output_is_refused_with_those_that_exist() {
    let mut message = texts("weather", &["rain"]);
    message.outputs = vec![asked("labels", None)];
    check(message, InvalidArgument, &["`labels`", "`label`", "`score`"]).await;
    let mut message = texts("weather", &["rain"]);
    message.outputs = vec![asked("label", Some(3))];
    check(message, InvalidArgument, &["classification", "`score`"]).await;
}

#[tokio::test]
async fn an_unknown_expert_or_version_is_not_found_and_told_what_is_here() {
    check(texts("topic", &["rain"]), NotFound, &["`topic`", "`add`, `weather`"]).await;
    check(texts("", &["rain"]), NotFound, &["`add`, `weather`"]).await;
    for (version, code, says) in
        [("2", NotFound, "`1`"), ("stable", InvalidArgument, "`stable`"), ("-1", InvalidArgument, "`-1`")]
    {
        let mut message = texts("weather", &["rain"]);
        message.model_version = version.into();
        check(message, code, &[says]).await;
    }
}

#[tokio::test]
async fn parameters_that_are_not_offered_are_refused_politely() {
    let with = |key: &str, value| {
        let mut message = texts("weather", &["rain"]);
        message.parameters.insert(key.into(), value);
        message
    };
    check(with("top_k", int(0)), InvalidArgument, &["top_k", "at least 1"]).await;
    check(with("sequence_id", int(7)), InvalidArgument, &["sequence_id"]).await;
    check(with("triton_final_response", int(7)), InvalidArgument, &["triton_"]).await;
    let text = InferParameter { parameter_choice: Some(ParameterChoice::StringParam("soon".into())) };
    check(with("timeout", text), InvalidArgument, &["timeout", "whole number"]).await;
    let mut shared = texts("weather", &["rain"]);
    shared.inputs[0].parameters.insert("shared_memory_region".into(), int(1));
    check(shared, InvalidArgument, &["shared memory"]).await;

    let (_dir, host) = host().await;
    for (key, value) in [("priority", 3), ("timeout", 5_000_000), ("x-team", 1)] {
        infer(&host.client, with(key, int(value))).await.unwrap_or_else(|refused| panic!("{key}: {refused}"));
    }
    host.stop().await;
}

#[tokio::test]
async fn a_deadline_that_passes_is_named_so_and_frees_the_model() {
    let (_dir, host) = host().await;
    // Only stopping the run ends it: if it were not stopped, the last request would wait for ever.
    let mut by_header = tonic::Request::new(texts("weather", &["forever"]));
    by_header.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    assert_refused(
        host.client_without_timer().model_infer(by_header).await,
        Code::DeadlineExceeded,
        &["deadline"],
    );
    let mut by_parameter = texts("weather", &["forever"]);
    by_parameter.parameters.insert("timeout".into(), int(100_000));
    assert_refused(infer(&host.client, by_parameter).await, Code::DeadlineExceeded, &["deadline"]);
    let mut over = texts("weather", &["rain"]);
    over.parameters.insert("timeout".into(), int(1));
    assert_refused(infer(&host.client, over).await, Code::DeadlineExceeded, &["deadline"]);
    infer(&host.client, texts("weather", &["rain"])).await.expect("the model is free again");
    host.stop().await;
}

#[tokio::test]
async fn a_caller_who_leaves_frees_the_model() {
    let (_dir, host) = host().await;
    let call = tokio::spawn({
        let client = host.client.clone();
        async move { infer(&client, texts("weather", &["forever"])).await }
    });
    wait_for(&host, "nv_inference_pending_request_count{model=\"weather\",version=\"1\"} 1").await;
    call.abort();
    infer(&host.client, texts("weather", &["rain"])).await.expect("the model is free again");
    wait_for(&host, "nv_inference_request_failure{model=\"weather\",version=\"1\",reason=\"CANCELED\"} 1")
        .await;
    host.stop().await;
}

#[tokio::test]
async fn a_full_queue_sheds_and_says_when_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]);
    settings.inference.queue = 1.try_into().unwrap();
    settings.inference.max_batch_rows = 1.try_into().unwrap();
    let host = serve_with(&settings).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = host.client.clone();
        calls.spawn(async move { infer(&client, texts("weather", &["forever"])).await });
    }
    // One runs, one may be in the worker's hand, one waits: of eight some are refused, and those come back first.
    let refused = calls.join_next().await.unwrap().unwrap().expect_err("the queue is full");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let pushback = refused.metadata().get("grpc-retry-pushback-ms").expect("when to come back");
    assert!((1..=1000).contains(&pushback.to_str().unwrap().parse::<u64>().unwrap()), "{pushback:?}");
    calls.shutdown().await;
    tokio::time::timeout(Duration::from_secs(30), async {
        while infer(&host.client, texts("weather", &["rain"])).await.is_err() {}
    })
    .await
    .expect("when the callers have left there is room again");
    host.stop().await;
}

#[tokio::test]
async fn scores_that_are_not_numbers_are_an_internal_error() {
    check(texts("weather", &["rain", "nan"]), Code::Internal, &["the model failed"]).await;
}

/// Reads `/metrics` until the line is there.
async fn wait_for(host: &Running, line: &str) {
    let found = async {
        while !crate::host::metrics(host.ops).await.lines().any(|seen| seen == line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .unwrap_or_else(|_| panic!("no `{line}` in /metrics"));
}

fn vector(name: &str, values: &[f32]) -> Tensor {
    Tensor { name: name.into(), shape: vec![values.len()], data: Data::F32(values.to_vec()) }
}
