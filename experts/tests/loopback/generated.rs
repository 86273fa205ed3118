//! Experts that answer texts with texts.

use std::collections::HashMap;

use crate::host::{asked, assert_refused, infer, int, outputs, serve, strings, texts};
use nanogrid_proto::{
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::{Data, Tensor},
};
use nanogrid_testkit::{graphs::encoder_decoder::LEFT, packages};
use serde_json::json;
use tempfile::tempdir;
use tonic::Code;

fn scores(outputs: &HashMap<String, Tensor>) -> &[f32] {
    let Data::F32(scores) = &outputs["score"].data else { panic!("`score` is FP32") };
    scores
}

fn beams(rows: &[&str], n: i64) -> ModelInferRequest {
    let mut request = texts("translate", rows);
    request.parameters.insert("num_beams".into(), int(n));
    request
}

fn answers(response: ModelInferResponse) -> Vec<String> {
    strings(&outputs(response)["text"])
}

#[tokio::test]
async fn every_row_has_a_text_and_a_score() {
    let dir = tempdir().unwrap();
    let host = serve(&[packages::translator(dir.path(), "translate", &json!({}))]).await;
    let rows = ["one two", "silence", "Two"];
    let outputs = outputs(infer(&host.client, texts("translate", &rows)).await.unwrap());
    assert_eq!((&outputs["text"].shape[..], &outputs["score"].shape[..]), (&[3][..], &[3][..]));
    assert_eq!(strings(&outputs["text"]), ["eins zwei", "", "zwei"]);
    assert!(scores(&outputs).iter().all(|score| *score <= 0.0), "{:?}", scores(&outputs));
    host.stop().await;
}

#[tokio::test]
async fn the_request_says_how_many_hypotheses_are_followed() {
    let dir = tempdir().unwrap();
    let host = serve(&[packages::translator(dir.path(), "translate", &json!({ "num_beams": 2 }))]).await;
    let row = ["fork tine tip"];
    let own = outputs(infer(&host.client, texts("translate", &row)).await.unwrap());
    assert_eq!(strings(&own["text"]), ["b z two"]);
    assert!((scores(&own)[0] - (1.0 - LEFT).ln() / 4.0).abs() < 1e-4);
    assert_eq!(answers(infer(&host.client, beams(&row, 1)).await.unwrap()), ["a x one"]);
    assert_eq!(answers(infer(&host.client, beams(&row, 8)).await.unwrap()), ["b z two"]);
    for wrong in [0, 9, -1] {
        let refused = infer(&host.client, beams(&row, wrong)).await;
        assert_refused(refused, Code::InvalidArgument, &["parameter `num_beams`"]);
    }
    host.stop().await;
}

#[tokio::test]
async fn one_output_can_be_asked_for_and_none_is_ranked() {
    let dir = tempdir().unwrap();
    let host = serve(&[packages::translator(dir.path(), "translate", &json!({}))]).await;
    let mut request = texts("translate", &["one"]);
    request.outputs = vec![asked("score", None)];
    assert_eq!(outputs(infer(&host.client, request).await.unwrap()).len(), 1);
    let mut request = texts("translate", &["one"]);
    request.outputs = vec![asked("text", Some(2))];
    assert_refused(infer(&host.client, request).await, Code::InvalidArgument, &["leave it out"]);
    host.stop().await;
}

#[tokio::test]
async fn a_text_without_an_end_is_cut_off_and_a_deadline_is_kept() {
    let dir = tempdir().unwrap();
    let host = serve(&[packages::translator(dir.path(), "translate", &json!({ "max_length": 4 }))]).await;
    assert_eq!(
        answers(infer(&host.client, texts("translate", &["again"])).await.unwrap()),
        ["again again again"]
    );
    let mut request = texts("translate", &["forever"]);
    request.parameters.insert("timeout".into(), int(50_000));
    assert_refused(infer(&host.client, request).await, Code::DeadlineExceeded, &["deadline"]);
    assert_eq!(answers(infer(&host.client, texts("translate", &["one"])).await.unwrap()), ["eins"]);
    host.stop().await;
}

#[tokio::test]
async fn a_text_is_read_as_far_as_the_model_sees() {
    let dir = tempdir().unwrap();
    let host = serve(&[packages::translator(dir.path(), "translate", &json!({ "max_length": 100 }))]).await;
    let row = "one ".repeat(packages::MAX_TOKENS + 5);
    let answer = answers(infer(&host.client, texts("translate", &[&row])).await.unwrap()).remove(0);
    // One place is the end token's.
    assert_eq!(answer.split(' ').count(), packages::MAX_TOKENS - 1);
    host.stop().await;
}

#[tokio::test]
async fn exports_are_served_as_they_are() {
    let dir = tempdir().unwrap();
    let packages = [
        packages::hugging_face_translator(dir.path(), "ours", &json!({})),
        packages::optimum_translator(dir.path(), "optimum", &json!({ "num_beams": 4 })),
    ];
    let host = serve(&packages).await;
    for name in ["ours", "optimum"] {
        assert_eq!(answers(infer(&host.client, texts(name, &["two one"])).await.unwrap()), ["zwei eins"]);
    }
    host.stop().await;
}

#[tokio::test]
async fn a_package_that_does_not_say_how_texts_end_is_left_out_and_the_others_serve() {
    let dir = tempdir().unwrap();
    let good = packages::translator(dir.path(), "translate", &json!({}));
    let broken = packages::translator(dir.path(), "endless", &json!({ "eos_token_id": null }));
    let host = serve(&[broken, good]).await;
    let refused = infer(&host.client, texts("endless", &["one"])).await;
    assert_refused(refused, Code::Unavailable, &["generation_config.json", "eos_token_id: is missing"]);
    assert_eq!(answers(infer(&host.client, texts("translate", &["one"])).await.unwrap()), ["eins"]);
    host.stop().await;
}
