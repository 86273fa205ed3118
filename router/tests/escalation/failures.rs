//! The server says no, or nonsense. Each is a missing part like any other: typed, counted, and never with the key in it.

use nanogrid_proto::v1::{OutcomeStatus, Verdict};
use serde_json::json;
use tonic::Code;

use crate::{
    KEY, failed, for_nobody, grid, grid_at,
    stand_in::{Reply, StandIn},
    support::{assert_metric, metrics, missing, rows_for},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_is_told_in_grpcs_words_and_asked_once() {
    let echo = format!("Incorrect API key provided: {KEY}");
    let no_choices = json!({ "choices": [] }).to_string();
    let no_text = json!({ "choices": [{ "message": { "content": null } }] }).to_string();
    let refusal =
        json!({ "choices": [{ "message": { "content": null, "refusal": "not with me" } }] }).to_string();
    let filtered =
        json!({ "choices": [{ "message": { "content": "" }, "finish_reason": "content_filter" }] })
            .to_string();
    let cases = [
        (
            Reply::error(401, &echo),
            Code::FailedPrecondition,
            "failed",
            false,
            "check `escalation.openai.api-key`",
        ),
        (
            Reply::error(403, &echo),
            Code::FailedPrecondition,
            "failed",
            false,
            "check `escalation.openai.api-key`",
        ),
        (
            Reply::error(404, "no such model"),
            Code::FailedPrecondition,
            "failed",
            false,
            "no such model: check",
        ),
        (
            Reply::of(307, "").header("location", "http://127.0.0.1:1/"),
            Code::FailedPrecondition,
            "failed",
            false,
            "HTTP 307",
        ),
        (Reply::error(400, &echo), Code::InvalidArgument, "failed", false, "provided: [the API key]"),
        (
            Reply::error(429, "slow down"),
            Code::Unavailable,
            "failed",
            true,
            "HTTP 429 Too Many Requests: slow down",
        ),
        (Reply::of(503, "<html>"), Code::Unavailable, "failed", true, "HTTP 503 Service Unavailable"),
        (Reply::error(529, "overloaded"), Code::Unavailable, "failed", true, "overloaded"),
        (Reply::error(500, "oops"), Code::Internal, "failed", true, "oops"),
        (Reply::of(200, "<html>"), Code::Internal, "failed", true, "no chat completion: expected value"),
        (Reply::of(200, "{}"), Code::Internal, "failed", true, "missing field `choices`"),
        (Reply::of(200, no_choices), Code::Internal, "failed", true, "has no choices"),
        (Reply::of(200, no_text), Code::Internal, "failed", true, "has no text"),
        (Reply::of(200, refusal), Code::FailedPrecondition, "abstained", false, "not with me"),
        (
            Reply::of(200, filtered),
            Code::FailedPrecondition,
            "abstained",
            false,
            "its filter took the answer",
        ),
    ];
    let server = StandIn::start(Reply::text("")).await;
    let (_intent, grid) = grid(&server, "").await;
    let n_cases = cases.len();
    for (reply, code, status, retryable, words) in cases {
        server.says(reply);
        let response = grid.infer(for_nobody()).await.unwrap();
        assert_eq!(response.decision.as_ref().unwrap().verdict(), Verdict::Escalate);
        let (told, message) = failed(&response);
        assert!(told == code && message.contains(words), "{code:?}, {words}: {told:?}, {message}");
        let (expert, is, cause, may_retry) = missing(&response);
        assert_eq!((expert, may_retry), ("openai", retryable), "{cause}");
        let expected = if status == "failed" { OutcomeStatus::Failed } else { OutcomeStatus::Abstained };
        assert_eq!(is, expected, "{cause}");
        assert!(!format!("{response:?}").contains(KEY), "the key is told: {response:?}");
        assert_eq!(response.outcomes[0].attempts, 1, "{cause}");
    }
    assert_eq!(server.n_seen(), n_cases, "each call is paid for");
    let metrics = metrics(&grid).await;
    assert_metric(&metrics, "nanogrid_router_escalations_total", &["failed"], "13");
    assert_metric(&metrics, "nanogrid_router_escalations_total", &["abstained"], "2");
    assert!(!metrics.contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_when_to_come_back_is_left_alone_until_then() {
    let server = StandIn::start(Reply::error(429, "slow down").header("retry-after", "30")).await;
    let (_intent, grid) = grid(&server, "").await;
    let pushback = |status: &tonic::Status| {
        let told = status.metadata().get("grpc-retry-pushback-ms").expect("told when to come back");
        told.to_str().unwrap().parse::<u64>().unwrap()
    };
    let first = grid.oip().model_infer(rows_for("auto", &["none none"])).await.unwrap_err();
    assert_eq!((first.code(), pushback(&first)), (Code::Unavailable, 30_000), "{first:?}");
    server.says(Reply::text("a poem"));
    let second = grid.oip().model_infer(rows_for("auto", &["none none"])).await.unwrap_err();
    assert_eq!(second.code(), Code::Unavailable);
    assert!(second.message().contains("asked not to be asked again"), "{second:?}");
    assert!((1..=30_000).contains(&pushback(&second)), "{second:?}");
    assert_eq!(server.n_seen(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_tried_once_more_since_nobody_saw_the_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_intent, grid) = grid_at(&format!("http://{address}"), "").await;
    let response = grid.infer(for_nobody()).await.unwrap();
    let (code, message) = failed(&response);
    assert_eq!(code, Code::Unavailable, "{message}");
    assert!(message.contains("no connection: "), "{message}");
    assert_eq!(response.outcomes[0].attempts, 2);
    assert_metric(
        &metrics(&grid).await,
        "nanogrid_attempts_total",
        &["expert=\"openai\"", "transparent"],
        "1",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_sent_is_not_sent_again_when_the_connection_breaks() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_intent, grid) = grid_at(&format!("http://{address}"), "").await;
    let answered = grid.infer(for_nobody());
    let broken = async {
        use tokio::io::AsyncReadExt;
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1 << 16];
        assert!(connection.read(&mut request).await.unwrap() > 0, "it came");
    };
    let (response, ()) = tokio::join!(answered, broken);
    let response = response.unwrap();
    assert_eq!(failed(&response).0, Code::Unavailable, "{response:?}");
    assert_eq!(response.outcomes[0].attempts, 1);
}
