use std::time::Duration;

use nanogrid_proto::v1::expert_info_client::ExpertInfoClient;
use nanogrid_serving::Drain;
use tokio::{net::TcpStream, time::Instant};
use tokio_stream::StreamExt;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    raw::Raw,
    support::{Running, SOON, info},
};

#[tokio::test]
async fn a_drain_tells_watchers_first_and_answers_what_is_in_flight() {
    let mut server = Running::start(Drain { serve_on: Duration::from_millis(700), ..SOON }).await;
    server.health.set("intent", true);
    let channel = server.channel().await;
    let service = "intent".to_owned();
    let mut changes =
        HealthClient::new(channel.clone()).watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(changes.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let mut client = ExpertInfoClient::new(channel);
    // Begun before the drain, ends after GOAWAY.
    let mut long = client.clone();
    let long = tokio::spawn(async move { long.get_info(info(1500, None)).await });
    client.get_info(info(0, None)).await.unwrap();
    server.stop();
    assert_eq!(changes.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(server.get("/readyz").await.0, 503);
    client.get_info(info(0, None)).await.expect("calls are still taken after NOT_SERVING");

    assert!(changes.next().await.is_none(), "the stream ends, and does not hold up the drain");
    long.await.unwrap().expect("a call in flight is answered");
    drop(client);
    let begun = Instant::now();
    server.served.await.unwrap().unwrap();
    assert!(begun.elapsed() < WELL_BEFORE_THE_HARD_STOP);
    assert!(TcpStream::connect(server.grpc).await.is_err());
}

/// GOAWAY comes soon, and the hard stop so late that nobody could take one for the other.
const QUICK: Drain = Drain { serve_on: Duration::from_millis(10), hard_stop: Duration::from_secs(60) };
const WELL_BEFORE_THE_HARD_STOP: Duration = Duration::from_secs(15);

impl Running {
    /// Whatever connected before is known to be accepted: a call that came after it was answered.
    async fn has_accepted(&self) {
        ExpertInfoClient::new(self.channel().await).get_info(info(0, None)).await.unwrap();
    }

    /// Drains; returns how long that took.
    async fn drained(mut self) -> Duration {
        let begun = Instant::now();
        self.stop();
        self.served.await.unwrap().unwrap();
        begun.elapsed()
    }
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_a_drain() {
    let server = Running::start(QUICK).await;
    let _silent = Raw::connect(server.grpc).await;
    server.has_accepted().await;
    let took = server.drained().await;
    assert!(took < WELL_BEFORE_THE_HARD_STOP, "{took:?}");
}

#[tokio::test]
async fn a_connection_that_was_opened_and_never_asked_anything_does_not_hold_a_drain() {
    let server = Running::start(QUICK).await;
    let mut idle = Raw::connect(server.grpc).await;
    idle.greet().await;
    server.has_accepted().await;
    let took = server.drained().await;
    assert!(took < WELL_BEFORE_THE_HARD_STOP, "{took:?}");
}

#[tokio::test]
async fn a_request_that_never_ends_holds_a_drain_up_to_the_hard_stop_only() {
    let hard_stop = Duration::from_millis(1500);
    let server = Running::start(Drain { hard_stop, ..QUICK }).await;
    let mut endless = Raw::connect(server.grpc).await;
    endless.greet().await;
    endless.begin_call().await;
    let _silent = Raw::connect(server.grpc).await;
    server.has_accepted().await;
    let took = server.drained().await;
    assert!(took >= hard_stop, "it was waited for: {took:?}");
    assert!(took < hard_stop + WELL_BEFORE_THE_HARD_STOP, "and not for ever: {took:?}");
}

#[tokio::test]
async fn a_call_in_flight_answered_beside_a_silent_connection() {
    let mut server = Running::start(QUICK).await;
    let _silent = Raw::connect(server.grpc).await;
    let mut client = ExpertInfoClient::new(server.channel().await);
    // Longer than a silent connection is waited for.
    let long = tokio::spawn(async move { client.get_info(info(1500, None)).await });
    server.has_accepted().await;
    server.stop();
    long.await.unwrap().expect("answered");
    server.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_was_sent_before_its_client_read_goaway_answered() {
    let mut server = Running::start(QUICK).await;
    let mut client = Raw::connect(server.grpc).await;
    client.greet().await;
    server.has_accepted().await;
    server.stop();
    client.until_goaway().await;
    // To the server this is a call that crossed its GOAWAY on the way.
    client.begin_call().await;
    client.end_call().await;
    assert!(client.answered().await);
    server.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_first_words_of_a_connection_that_was_just_made_are_answered() {
    let mut server = Running::start(QUICK).await;
    let mut watcher = Raw::connect(server.grpc).await;
    watcher.greet().await;
    let mut client = Raw::connect(server.grpc).await;
    server.has_accepted().await;
    server.stop();
    watcher.until_goaway().await;
    client.greet().await;
    client.begin_call().await;
    client.end_call().await;
    assert!(client.answered().await);
    server.served.await.unwrap().unwrap();
}
