//! Many requests on one stream.

use std::{collections::HashSet, time::Duration};

use nanogrid_proto::{
    inference::infer_parameter::ParameterChoice,
    v1::{InferRequest, infer_stream_response::Result as Streamed},
};
use nanogrid_testkit::expert::Behaviour;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::support::*;

fn numbered(id: u32, expert: &str) -> InferRequest {
    InferRequest { id: id.to_string(), ..text_for(&[expert]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_come_when_they_are_ready_and_errors_leave_the_stream_open() {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]).after(Duration::from_millis(300)));
    let grid = Grid::start(&[entry("intent", &intent), entry("sentiment", &sentiment)]).await;
    let (send, requests) = mpsc::channel(8);
    let mut replies = grid.client().infer_stream(ReceiverStream::new(requests)).await.unwrap().into_inner();
    send.send(numbered(1, "intent")).await.unwrap();
    send.send(numbered(2, "weather")).await.unwrap();
    send.send(InferRequest { payload: None, ..numbered(3, "sentiment") }).await.unwrap();
    send.send(numbered(4, "sentiment")).await.unwrap();
    let mut order = Vec::new();
    for _ in 0..4 {
        let reply = replies.message().await.unwrap().expect("the stream is open");
        let code = match reply.result.unwrap() {
            Streamed::Response(response) => {
                assert!(response.complete && response.id == reply.id, "{response:?}");
                Code::Ok
            }
            Streamed::Error(error) => error.code.into(),
        };
        order.push((reply.id, code));
    }
    assert_eq!(order.last().unwrap(), &("1".to_owned(), Code::Ok), "the slow one holds nobody up");
    let all: HashSet<_> = order.into_iter().collect();
    let of = |id: &str, code| (id.to_owned(), code);
    let expected =
        [of("1", Code::Ok), of("2", Code::NotFound), of("3", Code::InvalidArgument), of("4", Code::Ok)];
    assert_eq!(all, HashSet::from(expected));
    send.send(numbered(5, "sentiment")).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().id, "5");
    drop(send);
    assert!(replies.message().await.unwrap().is_none(), "it ends with the requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_works_on_a_bounded_number_of_requests() {
    let intent = labels("intent", "transfer");
    intent.behave(Behaviour::hangs());
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    let requests = futures::stream::iter((0..1_000).map(|id| numbered(id, "intent")));
    let mut replies = grid.client().infer_stream(requests).await.unwrap().into_inner();
    eventually("the stream is full", || intent.n_calls() == 64).await;
    // The first one times out after a second; until then nobody else gets in.
    let reply = replies.message().await.unwrap().unwrap();
    assert!(matches!(reply.result, Some(Streamed::Response(response)) if !response.complete));
    drop(replies);
    eventually("everything is cancelled", || intent.n_dropped() == intent.n_calls()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocols_stream_keeps_order_and_stays_open() {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]).after(Duration::from_millis(50)));
    let grid = Grid::start(&[entry("intent", &intent), entry("sentiment", &sentiment)]).await;
    let models = ["intent", "weather", "sentiment"];
    let requests = futures::stream::iter(models.map(|model| rows_for(model, &["one"])));
    let mut replies = grid.oip().model_stream_infer(requests).await.unwrap().into_inner();
    for model in models {
        let reply = replies.message().await.unwrap().expect("one for each");
        let answer = reply.infer_response.expect("an id at least");
        let is_final = &answer.parameters["triton_final_response"].parameter_choice;
        assert_eq!(is_final, &Some(ParameterChoice::BoolParam(true)));
        assert_eq!(answer.id, "7");
        if model == "weather" {
            assert!(reply.error_message.contains("there is no expert `weather`"), "{}", reply.error_message);
        } else {
            assert_eq!((reply.error_message.as_str(), answer.model_name.as_str()), ("", model));
        }
    }
    assert!(replies.message().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocols_stream_ends_with_a_status_for_who_asks_for_one() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    let requests = futures::stream::iter(["weather", "intent"].map(|model| rows_for(model, &["one"])));
    let mut request = tonic::Request::new(requests);
    request.metadata_mut().insert("triton_grpc_error", "true".parse().unwrap());
    let mut replies = grid.oip().model_stream_infer(request).await.unwrap().into_inner();
    assert_status(replies.message().await, Code::NotFound, "there is no expert `weather`");
}
