//! More requests than the router takes on.

use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse, ServerLiveRequest};
use nanogrid_proto::v1::{
    Criticality, InferOptions, InferRequest, ListExpertsRequest, StatusRequest, infer_request::Payload,
    infer_stream_response::Result as Streamed,
};
use nanogrid_testkit::expert::{Behaviour, ScriptedExpert};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::support::*;

/// A request that nothing but its client ends.
fn patient(criticality: Criticality) -> InferRequest {
    let deadline = Some(prost_types::Duration { seconds: 10, nanos: 0 });
    let request = InferRequest { criticality: criticality.into(), ..text_for(&["intent"]) };
    with_options(request, InferOptions { deadline, ..InferOptions::default() })
}

/// A router that takes on `limit` requests, and an expert that never answers.
async fn stalled(limit: usize) -> (Grid, ScriptedExpert) {
    let intent = labels("intent", "transfer");
    let grid = Grid::start_with(&[entry("intent", &intent)], |settings| settings.max_in_flight = limit).await;
    grid.until_ready("intent", true).await;
    intent.behave(Behaviour::hangs());
    (grid, intent)
}

/// `n_more` requests that stay until the set is dropped.
async fn hold(grid: &Grid, intent: &ScriptedExpert, criticality: Criticality, n_more: usize) -> JoinSet<()> {
    let mut held = JoinSet::new();
    let wanted = intent.n_calls() + n_more;
    for _ in 0..n_more {
        let mut client = grid.client();
        held.spawn(async move {
            let _ = client.infer(patient(criticality)).await;
        });
    }
    eventually("they are all with the expert", || intent.n_calls() >= wanted).await;
    held
}

#[track_caller]
fn assert_shed<T: std::fmt::Debug>(result: Result<T, Status>) {
    let status = result.expect_err("refused");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("it says when to try again");
    assert!(pushback.to_str().unwrap().parse::<u64>().unwrap() > 0);
}

async fn in_flight(grid: &Grid) -> (u64, u64) {
    let status = grid.control().await.status(StatusRequest {}).await.unwrap().into_inner();
    (status.requests_in_flight, status.requests_limit)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_important_are_refused_first_and_all_are_taken_again_afterwards() {
    let (grid, intent) = stalled(20).await;
    let half = hold(&grid, &intent, Criticality::Sheddable, 10).await;
    assert_shed(grid.infer(patient(Criticality::Sheddable)).await);
    let more = hold(&grid, &intent, Criticality::SheddablePlus, 5).await;
    assert_shed(grid.infer(patient(Criticality::SheddablePlus)).await);
    // Said nowhere is CRITICAL.
    let most = hold(&grid, &intent, Criticality::Unspecified, 4).await;
    assert_shed(grid.infer(patient(Criticality::Critical)).await);
    let all = hold(&grid, &intent, Criticality::CriticalPlus, 1).await;
    assert_shed(grid.infer(patient(Criticality::CriticalPlus)).await);
    assert_eq!(in_flight(&grid).await, (20, 20));
    let counted = metrics(&grid).await;
    // The last one was refused at the door, where its field had not been read and its metadata said nothing.
    for (criticality, n_shed) in [("SHEDDABLE", "1"), ("SHEDDABLE_PLUS", "1"), ("CRITICAL", "2")] {
        let labels = [&*format!("criticality=\"{criticality}\""), "reason=\"in_flight\""];
        assert_metric(&counted, "nanogrid_shed_total", &labels, n_shed);
    }
    assert_metric(&counted, "nanogrid_requests_in_flight", &[], "20");
    assert_metric(&counted, "nanogrid_requests_limit", &[], "20");

    drop((half, more, most, all));
    while in_flight(&grid).await.0 > 0 {
        tick().await;
    }
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]));
    assert!(grid.infer(patient(Criticality::Sheddable)).await.unwrap().complete);
    assert_metric(&metrics(&grid).await, "nanogrid_request_bytes", &[], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_field_wins_over_the_metadata_and_the_experts_are_told() {
    let (grid, intent) = stalled(4).await;
    let _held = hold(&grid, &intent, Criticality::CriticalPlus, 2).await;
    let with_header = |request| {
        let mut request = Request::new(request);
        request.metadata_mut().insert("x-nanogrid-criticality", "sheddable".parse().unwrap());
        request
    };
    assert_shed(grid.client().infer(with_header(patient(Criticality::Unspecified))).await);
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]));
    grid.client().infer(with_header(patient(Criticality::Critical))).await.expect("the field says so");
    let told = intent.seen().pop().unwrap().metadata;
    assert_eq!(told.get("x-nanogrid-criticality").unwrap(), "CRITICAL");
    let mut rows = Request::new(rows_for("intent", &["x"]));
    rows.metadata_mut().insert("x-nanogrid-criticality", "SHEDDABLE".parse().unwrap());
    assert_shed(grid.oip().model_infer(rows).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_router_refuses_what_it_has_not_read_and_still_answers_questions() {
    let (grid, intent) = stalled(1).await;
    let _held = hold(&grid, &intent, Criticality::CriticalPlus, 1).await;
    let methods =
        ["/nanogrid.v1.Grid/Infer", "/nanogrid.v1.Grid/Route", "/inference.GRPCInferenceService/ModelInfer"];
    for method in methods {
        let mut client = tonic::client::Grpc::new(grid.channel.clone());
        client.ready().await.unwrap();
        let codec = ProstCodec::<ModelInferRequest, ModelInferResponse>::default();
        // Nothing ever comes: whoever waits for the message waits for ever.
        let request = Request::new(futures::stream::pending());
        assert_shed(client.client_streaming(request, method.parse().unwrap(), codec).await);
    }
    assert!(grid.oip().server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert_eq!(
        grid.client().list_experts(ListExpertsRequest {}).await.unwrap().into_inner().experts.len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_stream_is_admitted_and_a_refusal_leaves_the_stream_open() {
    let (grid, intent) = stalled(2).await;
    let messages = (0..3).map(|_| patient(Criticality::CriticalPlus));
    let messages = futures::StreamExt::chain(futures::stream::iter(messages), futures::stream::pending());
    let mut replies = grid.client().infer_stream(messages).await.unwrap().into_inner();
    let Some(Streamed::Error(error)) = replies.message().await.unwrap().expect("it is open").result else {
        panic!("not refused");
    };
    assert_eq!(Code::from(error.code), Code::ResourceExhausted, "{error:?}");
    assert_eq!(in_flight(&grid).await.0, 2);
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_all_requests_together_are_bounded() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start_with(&[entry("intent", &intent)], |settings| {
        settings.server.max_message = 64 << 10;
        settings.max_bytes_in_flight = 1;
    })
    .await;
    grid.until_ready("intent", true).await;
    let large = || InferRequest {
        payload: Some(Payload::Text("x".repeat(40 << 10))),
        ..patient(Criticality::CriticalPlus)
    };
    assert!(grid.infer(large()).await.unwrap().complete, "one of the largest always has room");
    intent.behave(Behaviour::hangs());
    let mut client = grid.client();
    let mut held = JoinSet::new();
    held.spawn(async move { client.infer(large()).await });
    eventually("it is with the expert", || intent.n_calls() == 2).await;
    assert_shed(grid.infer(large()).await);
    let labels = ["criticality=\"CRITICAL\"", "reason=\"bytes\""];
    assert_metric(&metrics(&grid).await, "nanogrid_shed_total", &labels, "1");
    intent.behave(Behaviour::labels(&[("transfer", 0.9)]));
    assert!(grid.infer(patient(Criticality::Critical)).await.unwrap().complete, "a small one fits");
}
