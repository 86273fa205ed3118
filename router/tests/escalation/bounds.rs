//! Time, money and memory: nothing is waited for, sent or read beyond what was agreed.

use std::time::Duration;

use nanogrid_proto::v1::OutcomeStatus;
use tonic::Code;

use crate::{
    failed, for_nobody, grid,
    stand_in::{Reply, StandIn, completion},
    support::{assert_metric, eventually, metrics, missing},
    within,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_waited_for_until_the_deadline_of_the_request() {
    let server = StandIn::start(Reply::Later("too late".to_owned())).await;
    let (_intent, grid) = grid(&server, "").await;
    let response = grid.infer(within(for_nobody(), Duration::from_secs(2))).await.unwrap();
    let (code, message) = failed(&response);
    assert_eq!(code, Code::DeadlineExceeded);
    // A part of the two seconds is kept for the reply.
    assert!(message.starts_with("no answer within 1."), "{message}");
    assert_eq!(missing(&response).1, OutcomeStatus::TimedOut);
    eventually("the HTTP request has ended", || server.n_left() == 1).await;
    assert_metric(&metrics(&grid).await, "nanogrid_router_escalations_total", &["timed_out"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_http_request() {
    let server = StandIn::start(Reply::Later("for nobody".to_owned())).await;
    let (_intent, grid) = grid(&server, "").await;
    let mut client = grid.client();
    let asking = tokio::spawn(async move { client.infer(for_nobody()).await });
    eventually("it is asked", || server.n_seen() == 1).await;
    asking.abort();
    eventually("the HTTP request has ended", || server.n_left() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_allowed_are_refused_and_not_sent() {
    let server = StandIn::start(Reply::Later("a poem".to_owned())).await;
    let (_intent, grid) = grid(&server, "max-in-flight = 1\n").await;
    let mut client = grid.client();
    let first = tokio::spawn(async move { client.infer(for_nobody()).await });
    eventually("the first is asked", || server.n_seen() == 1).await;
    let second = grid.infer(for_nobody()).await.unwrap();
    let (code, message) = failed(&second);
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.contains("`escalation.openai.max-in-flight`"), "{message}");
    assert_eq!((missing(&second).1, missing(&second).3), (OutcomeStatus::Shed, true));
    server.go_on();
    assert!(first.await.unwrap().unwrap().into_inner().complete, "the first had its place");
    assert_eq!(server.n_seen(), 1);
    server.says(Reply::text("a poem"));
    assert!(grid.infer(for_nobody()).await.unwrap().complete, "the place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let server = StandIn::start(Reply::text(&"long ".repeat(1_000))).await;
    let (_intent, grid) = grid(&server, "max-response-bytes = 1000\n").await;
    let response = grid.infer(for_nobody()).await.unwrap();
    let (code, message) = failed(&response);
    assert_eq!(code, Code::Internal);
    assert!(message.ends_with("longer than `escalation.openai.max-response-bytes`: 1000"), "{message}");
    assert!(completion("short").len() < 1_000);
    server.says(Reply::text("short"));
    assert!(grid.infer(for_nobody()).await.unwrap().complete);
}
