//! Experts that find spans: where they say a span is, it is, in the text as it was sent.

use std::{collections::HashMap, fs};

use crate::host::{asked, assert_refused, infer, int, outputs, serve, settings, strings, texts};
use nanogrid_proto::tensor::{Data, Tensor};
use nanogrid_testkit::packages::{self, MAX_TOKENS};
use tonic::Code;

const LABELS: [&str; 5] = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

/// Row, entity and the part of that row's text, of every span.
fn found<'a>(outputs: &HashMap<String, Tensor>, rows: &[&'a str]) -> Vec<(i32, String, &'a str)> {
    let numbers = |name: &str| {
        let Data::I32(numbers) = &outputs[name].data else { panic!("`{name}` is INT32") };
        numbers.clone()
    };
    let (of_row, starts, ends) = (numbers("row"), numbers("start"), numbers("end"));
    let Data::F32(scores) = &outputs["score"].data else { panic!("`score` is FP32") };
    assert!(scores.iter().all(|score| *score > 0.0 && *score <= 1.0), "{scores:?}");
    let entities = strings(&outputs["entity"]);
    let n = entities.len();
    assert_eq!([of_row.len(), starts.len(), ends.len(), scores.len()], [n; 4]);
    let span = |i: usize| {
        let text = rows[of_row[i] as usize];
        (of_row[i], entities[i].clone(), &text[starts[i] as usize..ends[i] as usize])
    };
    (0..n).map(span).collect()
}

#[track_caller]
fn check(found: &[(i32, String, &str)], expected: &[(i32, &str, &str)]) {
    let found: Vec<_> = found.iter().map(|(row, entity, part)| (*row, entity.as_str(), *part)).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn spans_of_all_rows_come_one_after_another() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::token_classifier(dir.path(), "names", &LABELS, &[], "")]).await;
    let rows = ["see B-PER I-PER in B-LOC", "nothing at all", "b-per b-per", "i-loc"];
    let outputs = outputs(infer(&host.client, texts("names", &rows)).await.unwrap());
    assert_eq!(outputs["entity"].shape, [4]);
    check(
        &found(&outputs, &rows),
        &[(0, "PER", "B-PER I-PER"), (0, "LOC", "B-LOC"), (2, "PER", "b-per"), (2, "PER", "b-per")],
    );
    host.stop().await;
}

#[tokio::test]
async fn places_are_those_of_the_text_as_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::token_classifier(dir.path(), "names", &LABELS, &[], "")]).await;
    // Characters of several bytes before, full-width letters that become narrow, invisible ones inside.
    let rows = ["größer 🌧 Ｂ-ＰＥＲ \u{200b}i-\u{200d}per ende", "\u{feff}b-loc"];
    let outputs = outputs(infer(&host.client, texts("names", &rows)).await.unwrap());
    let found = found(&outputs, &rows);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].2.starts_with("Ｂ-ＰＥＲ ") && found[0].2.ends_with("i-\u{200d}per"), "{found:?}");
    assert!(found[1].2.ends_with("b-loc"), "{found:?}");
    host.stop().await;
}

#[tokio::test]
async fn no_spans_are_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::token_classifier(dir.path(), "names", &LABELS, &[], "")]).await;
    let outputs = outputs(infer(&host.client, texts("names", &["none", "here"])).await.unwrap());
    for name in ["row", "entity", "start", "end", "score"] {
        assert_eq!(outputs[name].shape, [0], "{name}");
    }
    host.stop().await;
}

#[tokio::test]
async fn what_the_model_cannot_see_has_no_spans() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::token_classifier(dir.path(), "names", &LABELS, &[], "")]).await;
    let row = "b-per ".repeat(MAX_TOKENS + 5);
    let outputs = outputs(infer(&host.client, texts("names", &[&row])).await.unwrap());
    assert_eq!(outputs["row"].shape, [MAX_TOKENS]);
    host.stop().await;
}

#[tokio::test]
async fn a_second_head_says_what_the_whole_text_is() {
    let dir = tempfile::tempdir().unwrap();
    let command = packages::token_classifier(dir.path(), "command", &LABELS, &["play", "book"], "");
    let host = serve(&[command]).await;
    let rows = ["book it in b-loc i-loc", "play"];
    let mut message = texts("command", &rows);
    message.parameters.insert("top_k".into(), int(2));
    let both = outputs(infer(&host.client, message).await.unwrap());
    check(&found(&both, &rows), &[(0, "LOC", "b-loc i-loc")]);
    assert_eq!(
        (both["label"].shape.as_slice(), both["label_score"].shape.as_slice()),
        (&[2, 2][..], &[2, 2][..])
    );
    assert_eq!(strings(&both["label"]), ["book", "play", "play", "book"]);
    let mut one = texts("command", &rows);
    one.outputs = vec![asked("label", None)];
    assert_eq!(strings(&outputs(infer(&host.client, one).await.unwrap())["label"]), ["book", "play"]);
    host.stop().await;
}

#[tokio::test]
async fn what_its_format_tells_needs_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let formats = "card-number = \"CARD\"\niban = \"IBAN\"";
    let host = serve(&[packages::token_classifier(dir.path(), "pii", &LABELS, &[], formats)]).await;
    let rows = ["b-per pays with 4111 1111 1111 1111", "DE89370400440532013000 or 4111111111111112"];
    let outputs = outputs(infer(&host.client, texts("pii", &rows)).await.unwrap());
    check(
        &found(&outputs, &rows),
        &[(0, "PER", "b-per"), (0, "CARD", "4111 1111 1111 1111"), (1, "IBAN", "DE89370400440532013000")],
    );
    host.stop().await;
}

#[tokio::test]
async fn a_hugging_face_folder_of_a_token_classifier_works_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::hugging_face_tagger(dir.path(), "bert-ner", &LABELS, &[])]).await;
    let rows = ["b-loc"];
    let outputs = outputs(infer(&host.client, texts("bert-ner", &rows)).await.unwrap());
    check(&found(&outputs, &rows), &[(0, "LOC", "b-loc")]);
    host.stop().await;
}

#[tokio::test]
async fn logits_that_are_no_numbers_fail_the_request_and_classification_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::token_classifier(dir.path(), "names", &LABELS, &[], "")]).await;
    let failed = host.client.clone().model_infer(texts("names", &["b-per nan"])).await;
    assert_refused(failed, Code::Internal, &["not a finite number"]);
    let mut ranked = texts("names", &["b-per"]);
    ranked.outputs = vec![asked("score", Some(2))];
    let refused = host.client.clone().model_infer(ranked).await;
    assert_refused(refused, Code::InvalidArgument, &["classification", "`score` is a part of spans"]);
    host.stop().await;
}

#[tokio::test]
async fn models_that_do_not_fit_the_task_are_refused_when_they_are_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let odd = |name: &str, labels: &[&str]| packages::hugging_face_tagger(dir.path(), name, labels, &[]);
    let other_scheme = odd("other-scheme", &["O", "S-PER", "B-PER"]);
    let no_outside = odd("no-outside", &["B-PER", "I-PER"]);
    // A graph that answers once for the text, under labels of words.
    let of_texts = odd("of-texts", &LABELS);
    fs::write(of_texts.join("model.onnx"), nanogrid_testkit::graphs::text_classifier(LABELS.len())).unwrap();
    let one_headed = packages::hugging_face_tagger(dir.path(), "one-headed", &LABELS, &["play"]);
    fs::write(one_headed.join("model.onnx"), nanogrid_testkit::graphs::token_classifier(LABELS.len(), 0))
        .unwrap();
    for (folder, expected) in [
        (other_scheme, "`S-PER` is neither `O`"),
        (no_outside, "there is no `O`"),
        (of_texts, "expected `logits` FP32 [-1, -1, 5]"),
        (one_headed, "expected `text_logits` FP32 [-1, 1]"),
    ] {
        nanogrid_testkit::init_onnxruntime();
        let settings = settings(&[folder]);
        let host = nanogrid_experts::Host::bind(&settings, tokio::time::Instant::now()).await.unwrap();
        let refused = host.serve(std::future::pending()).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}
