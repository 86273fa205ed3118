//! The model answers, and its answer is one like any expert's.

use nanogrid_proto::v1::{InferRequest, OutcomeStatus, RouteRequest, Verdict, outcome::Result as Answer};
use serde_json::json;
use tonic::Code;

use crate::{
    KEY, for_nobody, grid,
    stand_in::{Reply, StandIn},
    support::{assert_metric, assert_status, metrics, outcome_of, rows_for, text_for},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_nobody_is_answered_by_the_model() {
    let server = StandIn::start(Reply::text("a poem")).await;
    let (intent, grid) = grid(&server, "system = \"Be brief.\"\nmax-tokens = 32\n").await;
    let request = InferRequest { instruction: "answer in verse".to_owned(), ..for_nobody() };
    let response = grid.client().infer(request).await.unwrap();
    assert_eq!(response.metadata().get("x-nanogrid-expert").unwrap(), "openai");
    let response = response.into_inner();

    assert_eq!(response.decision.as_ref().unwrap().verdict(), Verdict::Escalate);
    assert!(response.complete, "{response:?}");
    let outcome = outcome_of(&response, "openai");
    assert!(matches!(&outcome.result, Some(Answer::Text(answer)) if answer.text == "a poem"), "{outcome:?}");
    assert_eq!((outcome.status(), outcome.task.as_str()), (OutcomeStatus::Answered, "text-to-text"));
    assert_eq!((outcome.version.as_str(), outcome.attempts, outcome.confidence), ("", 1, 0.0));
    assert_eq!(outcome.endpoint, server.address());
    assert!(outcome.times.as_ref().unwrap().inference.is_some(), "{outcome:?}");

    let [seen] = &server.seen()[..] else { panic!("not asked once") };
    assert_eq!(
        seen.body,
        json!({
            "model": "large-1",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "answer in verse\n\nnone none" },
            ],
            "max_tokens": 32,
        })
    );
    assert_eq!(seen.headers.get("authorization").unwrap(), &format!("Bearer {KEY}"));
    assert_eq!(seen.headers.get("content-type").unwrap(), "application/json");
    assert_eq!(intent.n_calls(), 0);

    let metrics = metrics(&grid).await;
    assert_metric(&metrics, "nanogrid_decisions_total", &["escalate", "classifier"], "1");
    assert_metric(&metrics, "nanogrid_router_escalations_total", &["answered"], "1");
    assert_metric(&metrics, "nanogrid_outcomes_total", &["expert=\"openai\"", "answered"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_system_message_and_an_instruction_the_text_is_all_that_is_sent() {
    let server = StandIn::start(Reply::text("a poem")).await;
    let (_intent, grid) = grid(&server, "").await;
    assert!(grid.infer(for_nobody()).await.unwrap().complete);
    let messages = &server.seen()[0].body["messages"];
    assert_eq!(messages, &json!([{ "role": "user", "content": "none none" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_somebody_suits_costs_nothing() {
    let server = StandIn::start(Reply::text("a poem")).await;
    let (intent, grid) = grid(&server, "").await;
    assert!(grid.infer(text_for(&["intent"])).await.unwrap().complete);
    let route = RouteRequest { request: Some(for_nobody()) };
    let route = grid.client().route(route).await.unwrap().into_inner();
    assert_eq!((route.calls[0].expert.as_str(), route.calls[0].version.as_str()), ("openai", ""));
    assert_eq!((intent.n_calls(), server.n_seen()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_inference_protocol_gets_tensors_of_its_task() {
    let server = StandIn::start(Reply::text("a poem")).await;
    let (_intent, grid) = grid(&server, "name = \"bigger\"\n").await;
    let auto = grid.oip().model_infer(rows_for("auto", &["none none"])).await.unwrap();
    assert_eq!(auto.metadata().get("x-nanogrid-decision").unwrap(), "escalate");
    assert_eq!(auto.metadata().get("x-nanogrid-expert").unwrap(), "bigger");
    assert!(auto.metadata().get("x-nanogrid-version").is_none());
    let answer = auto.into_inner();
    assert_eq!((answer.model_name.as_str(), answer.id.as_str()), ("bigger", "7"));
    assert_eq!(&answer.raw_output_contents[0][4..], b"a poem");

    let several = grid.oip().model_infer(rows_for("bigger", &["one", "two"])).await;
    assert_status(several, Code::InvalidArgument, "one row");
    assert_eq!(server.n_seen(), 1, "each row would be paid for");
}
