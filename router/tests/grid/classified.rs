//! The classifier decides, or cannot.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use nanogrid_proto::{
    inference::InferTensorContents,
    tensor::{Data, Tensor},
    v1::{
        DecidedBy, InferOptions, InferRequest, InferResponse, OutcomeStatus, RouteRequest, StatusRequest,
        Verdict, infer_request::Payload, outcome::Result as Answer,
    },
};
use nanogrid_settings::Escalation;
use nanogrid_testkit::{
    expert::{Behaviour, Profile, ScriptedExpert},
    init_onnxruntime, packages,
};
use tonic::{Code, Status};

use crate::support::*;

/// A classifier that counts words: `intent`, `sentiment`, `weather` (no expert here) and `none`.
fn package(folder: &std::path::Path) -> PathBuf {
    init_onnxruntime();
    let labels = ["intent", "sentiment", "weather", "none"];
    let version = packages::text_classifier(folder, "router", &labels).join("1");
    packages::calibrate(&version, &labels, &[(0.02, 0.3, 0.5), (0.1, 0.3, 0.01)]);
    version
}

/// A grid that does without `weather`.
async fn grid(
    change: impl FnOnce(&mut nanogrid_settings::RouterSettings),
) -> (ScriptedExpert, ScriptedExpert, Grid) {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path());
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let grid = Grid::start_with(&[entry("intent", &intent), entry("sentiment", &sentiment)], |settings| {
        settings.classifier = Some(package);
        settings.classify_optional = vec!["weather".parse().unwrap()];
        settings.classify_limit = Duration::from_secs(5);
        change(settings);
    })
    .await;
    grid.until(|experts| experts.iter().all(|expert| expert.ready)).await;
    (intent, sentiment, grid)
}

fn text(text: &str) -> InferRequest {
    InferRequest { payload: Some(Payload::Text(text.to_owned())), ..InferRequest::default() }
}

/// Who is asked, best first.
fn chosen(response: &InferResponse) -> Vec<&str> {
    let candidates = &response.decision.as_ref().unwrap().candidates;
    candidates
        .iter()
        .filter(|candidate| candidate.chosen)
        .map(|candidate| candidate.expert.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_goes_to_the_expert_it_suits() {
    let (intent, sentiment, grid) = grid(|_| {}).await;
    let response = grid.infer(text("what is the intent of this")).await.unwrap();
    assert_eq!((chosen(&response), label(&response, "intent")), (vec!["intent"], "transfer"));
    let decision = response.decision.unwrap();
    assert_eq!((decision.verdict(), decision.decided_by()), (Verdict::Single, DecidedBy::Classifier));
    assert_eq!((decision.classifier_version.as_str(), decision.alpha), ("1", Some(0.02)));
    assert!(decision.out_of_scope.is_some_and(|score| score < 0.1), "{decision:?}");
    assert_eq!(decision.candidates.len(), 2, "labels that are no experts are no candidates: {decision:?}");
    assert!(
        decision.candidates[0].confidence > 0.9 && decision.why.contains("`intent` is asked"),
        "{decision:?}"
    );
    assert_eq!((intent.n_calls(), sentiment.n_calls()), (1, 0));
    let metrics = metrics(&grid).await;
    assert_metric(&metrics, "nanogrid_decisions_total", &["single", "classifier"], "1");
    assert_metric(&metrics, "nanogrid_classifier_labels_ignored", &[], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_suits_two_goes_to_both() {
    let (_intent, _sentiment, grid) = grid(|_| {}).await;
    let response = grid.infer(text("intent sentiment")).await.unwrap();
    assert_eq!(response.decision.as_ref().unwrap().verdict(), Verdict::FanOut);
    assert_eq!((label(&response, "intent"), label(&response, "sentiment")), ("transfer", "positive"));
}

#[tokio::test(flavor = "multi_thread")]
async fn options_narrow_the_decision() {
    let (_intent, _sentiment, grid) = grid(|_| {}).await;
    let one = with_options(text("intent sentiment"), InferOptions { max_experts: 1, ..Default::default() });
    assert_eq!(chosen(&grid.infer(one).await.unwrap()).len(), 1);
    let sure = InferOptions { min_confidence: Some(0.99), ..Default::default() };
    let response = grid.infer(with_options(text("intent sentiment"), sure)).await.unwrap();
    let decision = response.decision.unwrap();
    assert_eq!(decision.verdict(), Verdict::Abstain);
    assert!(decision.candidates[0].why.contains("less than 0.99 sure"), "{decision:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instruction_is_read_with_the_text() {
    let (intent, _sentiment, grid) = grid(|_| {}).await;
    let request = InferRequest { instruction: "tell the intent".to_owned(), ..text("move money please") };
    assert_eq!(chosen(&grid.infer(request).await.unwrap()), ["intent"]);
    let seen = &intent.seen()[0].message.raw_input_contents[0];
    assert_eq!(&seen[4..], b"move money please", "the expert sees the text alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_suits_nobody_is_an_abstention() {
    let (intent, sentiment, grid) = grid(|_| {}).await;
    for words in ["none none", "weather weather"] {
        let response = grid.infer(text(words)).await.unwrap();
        assert_eq!(response.decision.as_ref().unwrap().verdict(), Verdict::Abstain, "{words}");
        assert!(response.complete && response.outcomes.is_empty());
    }
    assert_eq!((intent.n_calls(), sentiment.n_calls()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_decides_and_asks_nobody() {
    let (intent, _sentiment, grid) = grid(|_| {}).await;
    let route = RouteRequest { request: Some(text("the intent")) };
    let route = grid.client().route(route).await.unwrap().into_inner();
    assert_eq!(route.decision.unwrap().verdict(), Verdict::Single);
    assert_eq!((route.calls[0].expert.as_str(), route.calls[0].version.as_str()), ("intent", "1"));
    assert_eq!(route.calls[0].endpoints, [intent.address()]);
    assert_eq!(intent.n_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_is_a_model_that_asks_the_classifier() {
    let (intent, sentiment, grid) = grid(|_| {}).await;
    let response = grid.oip().model_infer(rows_for("auto", &["some sentiment"])).await.unwrap();
    assert_eq!(response.metadata().get("x-nanogrid-decision").unwrap(), "single");
    assert_eq!(response.into_inner().model_name, "sentiment");
    assert_eq!(sentiment.seen()[0].message.model_name, "sentiment");
    let several = grid.oip().model_infer(rows_for("auto", &["intent", "sentiment"])).await;
    assert_status(
        several,
        Code::InvalidArgument,
        "must hold one row for the model `auto`; for several, name the expert: 2",
    );
    let nobody = grid.oip().model_infer(rows_for("auto", &["none none"])).await;
    assert_status(
        nobody,
        Code::FailedPrecondition,
        "the request is more than 0.50 likely to be for nobody here",
    );
    let blank = grid.oip().model_infer(rows_for("auto", &[" "])).await;
    assert_status(blank, Code::InvalidArgument, "text: must hold more than white space");
    let mut other = rows_for("auto", &["x"]);
    other.inputs[0].name = "image".to_owned();
    assert_status(
        grid.oip().model_infer(other).await,
        Code::InvalidArgument,
        "must hold `text` of datatype BYTES",
    );
    let mut lying = rows_for("auto", &["x"]);
    lying.raw_input_contents[0] = bytes::Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, b'x']);
    assert_status(grid.oip().model_infer(lying).await, Code::InvalidArgument, "inputs: ");
    // Millions of empty rows: four bytes each in the message, and nothing is decoded to count them.
    let many_rows = bytes::Bytes::from(vec![0; 4 << 20]);
    let mut many = rows_for("auto", &["x"]);
    (many.inputs[0].shape, many.raw_input_contents[0]) = (vec![1 << 10, 1 << 10], many_rows.clone());
    assert_status(grid.oip().model_infer(many).await, Code::InvalidArgument, "name the expert: 1048576");
    let mut more_than_said = rows_for("auto", &["x"]);
    more_than_said.raw_input_contents[0] = many_rows;
    let words = "4194300 bytes are left after the 1 elements that the shape says";
    assert_status(grid.oip().model_infer(more_than_said).await, Code::InvalidArgument, words);
    let mut typed = rows_for("auto", &["x"]);
    typed.raw_input_contents.clear();
    let rows = InferTensorContents { bytes_contents: vec![bytes::Bytes::new(); 1_000], ..Default::default() };
    typed.inputs[0].contents = Some(rows);
    assert_status(grid.oip().model_infer(typed).await, Code::InvalidArgument, "name the expert: 1000");
    let mut not_utf8 = rows_for("auto", &["x"]);
    not_utf8.raw_input_contents[0] = bytes::Bytes::from_static(&[1, 0, 0, 0, 0xff]);
    assert_status(grid.oip().model_infer(not_utf8).await, Code::InvalidArgument, "text: must be UTF-8");
    assert_eq!(intent.n_calls(), 0);
}

/// Unavailable for `problem`, told and counted; who names the experts is answered all the same.
async fn unavailable(grid: &Grid, request: InferRequest, words: &str, problem: &str) {
    let response = grid.infer(request).await.unwrap();
    let decision = response.decision.unwrap();
    assert_eq!(decision.verdict(), Verdict::Unavailable);
    assert!(decision.why.contains(words), "{}", decision.why);
    assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");
    let metrics = metrics(grid).await;
    let counted = format!("reason=\"{problem}\"");
    let line = metrics
        .lines()
        .find(|line| line.starts_with("nanogrid_classifier_unavailable_total") && line.contains(&counted));
    assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{line:?}");
    let auto = grid.oip().model_infer(rows_for("auto", &["nan"])).await;
    assert_status(auto, Code::Unavailable, words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_that_gives_no_numbers_is_unavailable() {
    let (_intent, _sentiment, grid) = grid(|_| {}).await;
    unavailable(&grid, text("nan"), "name the experts to ask", "failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_that_is_late_is_unavailable() {
    let (_intent, _sentiment, grid) = grid(|settings| settings.classify_limit = Duration::ZERO).await;
    let response = grid.infer(text("intent")).await.unwrap();
    let decision = response.decision.unwrap();
    assert_eq!(decision.verdict(), Verdict::Unavailable);
    assert!(decision.why.contains("its limit is 0ns"), "{}", decision.why);
    assert_metric(&metrics(&grid).await, "nanogrid_classifier_unavailable_total", &["too_late"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_that_cannot_be_loaded_is_unavailable() {
    let nowhere =
        |settings: &mut nanogrid_settings::RouterSettings| settings.classifier = Some("/nowhere/1".into());
    let (_intent, _sentiment, grid) = grid(nowhere).await;
    unavailable(&grid, text("intent"), "/nowhere/1", "not_loaded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_no_classifier_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let package = packages::text_classifier(folder.path(), "intent", &["a", "b"]);
    let (_intent, _sentiment, grid) = grid(|settings| settings.classifier = Some(package)).await;
    unavailable(&grid, text("intent"), "has no table `classifier`", "not_loaded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_whose_experts_are_not_all_served_is_unavailable() {
    let (_intent, _sentiment, grid) = grid(|settings| settings.classify_optional.clear()).await;
    let words = "does not serve: `weather`; add them to the grid file, or list them in `classifier.optional`";
    unavailable(&grid, text("intent"), words, "not_served").await;
    let status = grid.control().await.status(StatusRequest {}).await.unwrap().into_inner();
    assert!(status.classifier_problem.contains(words), "{}", status.classifier_problem);
    assert_eq!(status.classifier_version, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_nobody_measured_is_not_given() {
    let (_intent, _sentiment, grid) = grid(|settings| settings.classify_alpha = 0.07).await;
    let words = "promises nothing for `classifier.alpha` = 0.07: choose from 0.02, 0.1";
    unavailable(&grid, text("intent"), words, "not_loaded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_nobody_is_held_back_from_the_score_that_was_promised() {
    let (intent, _sentiment, grid) = grid(|settings| settings.classify_alpha = 0.1).await;
    let response = grid.infer(text("none none intent")).await.unwrap();
    let decision = response.decision.unwrap();
    assert_eq!(decision.verdict(), Verdict::Abstain);
    assert!(decision.why.contains("more than 0.01 likely to be for nobody here"), "{}", decision.why);
    assert_eq!(intent.n_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_for_other_labels_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let version =
        packages::text_classifier(folder.path(), "router", &["intent", "sentiment", "none"]).join("1");
    packages::calibrate(&version, &["sentiment", "intent", "none"], &[(0.02, 0.3, 1.0)]);
    let (_intent, _sentiment, grid) = grid(|settings| settings.classifier = Some(version)).await;
    unavailable(
        &grid,
        text("intent"),
        "was calibrated for other labels than those in config.json",
        "not_loaded",
    )
    .await;
}

/// An answer in words.
fn written(text: &str) -> Behaviour {
    let words = Data::Bytes(vec![Bytes::copy_from_slice(text.as_bytes())]);
    Behaviour::tensors(vec![
        Tensor { name: "text".to_owned(), shape: vec![1], data: words },
        Tensor { name: "score".to_owned(), shape: vec![1], data: Data::F32(vec![-0.5]) },
    ])
}

/// A grid whose bigger model, far away and speaking the same protocol, does as `behaviour` says.
async fn grid_with_bigger_model(behaviour: Behaviour) -> (ScriptedExpert, ScriptedExpert, Grid) {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path());
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let big = ScriptedExpert::start(Profile::of("big", 1, "text-to-text"), behaviour);
    let entries =
        [entry("intent", &intent), entry("sentiment", &sentiment), entry("big", &big).task("text-to-text")];
    let grid = Grid::start_with(&entries, |settings| {
        settings.classifier = Some(package);
        settings.classify_optional = vec!["weather".parse().unwrap()];
        settings.classify_limit = Duration::from_secs(5);
        settings.escalation = Some(Escalation::Expert("big".parse().unwrap()));
    })
    .await;
    grid.until(|experts| experts.iter().all(|expert| expert.ready)).await;
    (intent, big, grid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_nobody_is_escalated_to_the_bigger_model() {
    let (intent, big, grid) = grid_with_bigger_model(written("a poem")).await;
    let response = grid.infer(text("none none")).await.unwrap();
    let decision = response.decision.as_ref().unwrap();
    assert_eq!(decision.verdict(), Verdict::Escalate);
    assert!(decision.why.ends_with("`big` is asked instead"), "{}", decision.why);
    assert_eq!(chosen(&response), ["big"]);
    assert!(response.complete, "{response:?}");
    assert!(
        matches!(&response.outcomes[0].result, Some(Answer::Text(answer)) if answer.text == "a poem"),
        "{response:?}"
    );
    assert_metric(&metrics(&grid).await, "nanogrid_decisions_total", &["escalate", "classifier"], "1");

    let auto = grid.oip().model_infer(rows_for("auto", &["none none"])).await.unwrap();
    assert_eq!(auto.metadata().get("x-nanogrid-decision").unwrap(), "escalate");
    assert_eq!((big.n_calls(), intent.n_calls()), (2, 0));
    assert_metric(&metrics(&grid).await, "nanogrid_router_escalations_total", &["answered"], "2");
    assert_eq!(chosen(&grid.infer(text("intent")).await.unwrap()), ["intent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bigger_model_that_fails_is_a_missing_part_like_any_other() {
    let (_intent, _big, grid) =
        grid_with_bigger_model(Behaviour::fails(Status::internal("out of tokens"))).await;
    let response = grid.infer(text("none none")).await.unwrap();
    assert_eq!(response.decision.as_ref().unwrap().verdict(), Verdict::Escalate);
    assert!(!response.complete);
    assert_eq!(
        (response.missing[0].expert.as_str(), response.missing[0].status()),
        ("big", OutcomeStatus::Failed)
    );
    assert_metric(&metrics(&grid).await, "nanogrid_router_escalations_total", &["failed"], "1");
    assert_status(
        grid.oip().model_infer(rows_for("auto", &["none none"])).await,
        Code::Internal,
        "out of tokens",
    );
    assert_metric(&metrics(&grid).await, "nanogrid_router_escalations_total", &["failed"], "2");
}

#[cfg(not(feature = "openai"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_router_without_the_feature_does_not_pass_over_an_openai_compatible_server() {
    let folder = tempfile::tempdir().unwrap();
    let (file, grid_path) = (folder.path().join("router.toml"), folder.path().join("grid.toml"));
    let expert = labels("intent", "transfer");
    std::fs::write(&grid_path, grid_file(&[entry("intent", &expert)])).unwrap();
    std::fs::write(&file, "[escalation.openai]\nurl = \"http://127.0.0.1:1\"\nmodel = \"large-1\"\n")
        .unwrap();
    let mut settings = nanogrid_settings::RouterSettings::load(Some(&file)).unwrap();
    settings.grid_file = grid_path;
    settings.server.listen.set_port(0);
    settings.server.ops.set_port(0);
    let error = nanogrid_router::RouterServer::bind(&settings).await.expect_err("refused").to_string();
    assert!(error.starts_with("escalation.openai: this router is built without it"), "{error}");
    assert!(error.contains("--features openai"), "{error}");
}
