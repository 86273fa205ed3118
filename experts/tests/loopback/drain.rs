//! How the process ends: signals, rude clients, people in a hurry.

use std::time::Duration;

use nanogrid_proto::v1::{GetInfoRequest, expert_info_client::ExpertInfoClient};
use nanogrid_testkit::packages;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

use crate::process::{Log, PATIENCE, expert};

/// Less than the hard stop of 20 s, by far.
const SOON: Duration = Duration::from_secs(15);

/// A process that serves, and where.
async fn start(serve_on: &str) -> (Child, Log, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let weather = packages::text_classifier(dir.path(), "weather", &["sun", "rain"]);
    let mut command = expert(&[weather.to_str().unwrap()]);
    let mut child = command.env("NANOGRID__SERVER__DRAIN__SERVE_ON", serve_on).spawn().unwrap();
    let mut log = Log::of(&mut child);
    let serving = log.line("serving").await;
    log.line("ready").await;
    let address = serving["grpc"].as_str().unwrap().to_owned();
    (child, log, address, dir)
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    let told = Command::new("kill").args([name, &pid]).status().await.unwrap();
    assert!(told.success());
}

#[tokio::test]
async fn a_process_with_a_silent_connection_ends_soon_after_sigterm() {
    let (mut child, mut log, address, _dir) = start("0s").await;
    let silent = TcpStream::connect(&address).await.unwrap();
    // Whatever connected before is known to be accepted: a call that came after it was answered.
    let channel = nanogrid_serving::endpoint(&address).unwrap().connect().await.unwrap();
    ExpertInfoClient::new(channel).get_info(GetInfoRequest {}).await.unwrap();
    signal(&child, "-TERM").await;
    let status = timeout(SOON, child.wait()).await.expect("before the hard stop").unwrap();
    assert!(status.success());
    log.line("stopped").await;
    drop(silent);
}

#[tokio::test]
async fn a_second_signal_ends_a_drain_at_once() {
    let (mut child, mut log, address, _dir) = start("10m").await;
    signal(&child, "-TERM").await;
    log.line("draining").await;
    let channel = nanogrid_serving::endpoint(&address).unwrap().connect().await.unwrap();
    ExpertInfoClient::new(channel).get_info(GetInfoRequest {}).await.expect("it serves on");
    signal(&child, "-INT").await;
    let status = timeout(PATIENCE, child.wait()).await.expect("at once").unwrap();
    assert_eq!(status.code(), Some(1), "whoever supervises it sees that the drain was not over");
}
