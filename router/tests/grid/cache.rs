//! Answers that are kept, where the grid file says so.

use std::time::Duration;

use futures::future::join_all;
use nanogrid_proto::v1::{InferOptions, InferRequest, infer_request::Payload};
use nanogrid_testkit::expert::{Behaviour, ScriptedExpert};
use tonic::Status;

use crate::support::*;

const CACHE: &str = "[expert.cache]\nmax-bytes = 1048576\nttl = \"10m\"";

fn cached(expert: &ScriptedExpert) -> [Entry; 1] {
    [entry("intent", expert).more(CACHE)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_request_is_answered_without_the_expert() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&cached(&intent)).await;
    let first = grid.infer(text_for(&["intent"])).await.unwrap();
    assert!(!outcome_of(&first, "intent").cached);
    let second = grid.infer(InferRequest { id: "8".to_owned(), ..text_for(&["intent"]) }).await.unwrap();
    assert_eq!((label(&second, "intent"), second.id.as_str()), ("transfer", "8"));
    let outcome = outcome_of(&second, "intent");
    assert!(outcome.cached && outcome.attempts == 0 && outcome.endpoint.is_empty(), "{outcome:?}");
    assert_eq!(outcome.version, "1");
    assert_eq!(intent.n_calls(), 1);

    let top_k = InferOptions { top_k: 2, ..InferOptions::default() };
    grid.infer(with_options(text_for(&["intent"]), top_k)).await.unwrap();
    let other = InferRequest { payload: Some(Payload::Text("another".to_owned())), ..text_for(&["intent"]) };
    grid.infer(other).await.unwrap();
    assert_eq!(intent.n_calls(), 3, "what differs is asked");
    let metrics = metrics(&grid).await;
    assert_metric(&metrics, "nanogrid_cache_total", &["expert=\"intent\"", "result=\"hit\""], "1");
    assert_metric(&metrics, "nanogrid_cache_total", &["expert=\"intent\"", "result=\"miss\""], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_inference_protocol_are_kept_as_well() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&cached(&intent)).await;
    let first = grid.oip().model_infer(rows_for("intent", &["hi"])).await.unwrap().into_inner();
    let mut again = rows_for("intent", &["hi"]);
    again.id = "8".to_owned();
    let second = grid.oip().model_infer(again).await.unwrap();
    assert_eq!(second.metadata().get("x-nanogrid-version").unwrap(), "1");
    let second = second.into_inner();
    assert_eq!((second.raw_output_contents, second.id.as_str()), (first.raw_output_contents, "8"));
    assert_eq!(intent.n_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_unless_the_grid_file_says_so() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    for _ in 0..2 {
        assert!(!outcome_of(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent").cached);
    }
    assert_eq!(intent.n_calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_equal_requests_at_the_same_time_one_reaches_the_expert() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&cached(&intent)).await;
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]).after(Duration::from_millis(200)));
    let responses = join_all((0..20).map(|_| grid.infer(text_for(&["intent"])))).await;
    assert!(responses.into_iter().all(|response| response.unwrap().complete));
    assert_eq!(intent.n_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_not_kept_and_neither_is_an_answer_that_cannot_be_read() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&cached(&intent)).await;
    for broken in [Behaviour::fails(Status::internal("broken")), Behaviour::tensors(Vec::new())] {
        intent.behave(broken);
        assert!(!grid.infer(text_for(&["intent"])).await.unwrap().complete);
    }
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]));
    let healed = grid.infer(text_for(&["intent"])).await.unwrap();
    assert!(healed.complete && !outcome_of(&healed, "intent").cached, "{healed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_outlives_the_expert_and_a_reload() {
    let mut intent = labels("intent", "transfer");
    let grid = Grid::start(&cached(&intent)).await;
    grid.infer(text_for(&["intent"])).await.unwrap();
    intent.kill();
    grid.until_ready("intent", false).await;
    grid.write(&(grid_file(&cached(&intent)) + "# another generation\n"));
    let mut control = grid.control().await;
    let is_second = |status: nanogrid_proto::v1::StatusResponse| status.grid_generation == 2;
    while !is_second(control.status(nanogrid_proto::v1::StatusRequest {}).await.unwrap().into_inner()) {
        tick().await;
    }
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    assert!(outcome_of(&response, "intent").cached, "{response:?}");
}
