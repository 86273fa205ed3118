//! The binary: flags, exit codes, what it prints.

use std::{process::Stdio, time::Duration};

use nanogrid_proto::{
    inference::{
        RepositoryModelLoadRequest, ServerReadyRequest,
        grpc_inference_service_client::GrpcInferenceServiceClient,
    },
    v1::{GetInfoRequest, expert_info_client::ExpertInfoClient},
};
use nanogrid_testkit::packages;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Far more than a start or a stop takes, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn expert(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanogrid-expert"));
    command.args(["--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"]).args(arguments);
    command
        .env_clear()
        .env("NANOGRID__TELEMETRY__LOG_FORMAT", "json")
        .env("NANOGRID__SERVER__DRAIN__SERVE_ON", "0s");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Fails, and says all of this in one message.
async fn check_fails(arguments: &[&str], says: &[&str]) {
    let output = expert(arguments).output().await.expect("the binary starts");
    assert!(!output.status.success(), "{arguments:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    for part in says {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn what_cannot_start_exits_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    check_fails(&[], &["no packages"]).await;
    check_fails(&["/no/such/folder"], &["/no/such/folder"]).await;
    check_fails(&["--onnxruntime", "/no/such/library.so", "/no/such/folder"], &["/no/such/library.so"]).await;
    let settings = dir.path().join("expert.toml");
    std::fs::write(&settings, "[inference]\nworker = 2\n").unwrap();
    check_fails(&["--config", settings.to_str().unwrap()], &["expert.toml", "worker"]).await;
    let broken = packages::text_classifier(dir.path(), "broken", &["sun", "rain"]);
    std::fs::remove_file(broken.join("1/tokenizer.json")).unwrap();
    check_fails(&[broken.to_str().unwrap()], &["tokenizer.json"]).await;
}

#[tokio::test]
async fn it_gets_ready_says_how_long_that_took_and_ends_well_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let weather = packages::text_classifier(dir.path(), "weather", &["sun", "rain"]);
    let mut child = expert(&[weather.to_str().unwrap()]).spawn().expect("the binary starts");
    let mut log = Log::of(&mut child);
    let serving = log.line("serving").await;
    let ready = log.line("ready").await;
    assert!(ready["start_up"].as_str().is_some(), "{ready}");
    let address = serving["grpc"].as_str().expect("the address is a field").to_owned();
    let mut client = GrpcInferenceServiceClient::connect(format!("http://{address}")).await.unwrap();
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);

    let pid = child.id().expect("it runs").to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    assert!(told.success());
    log.line("stopped").await;
    assert!(child.wait().await.unwrap().success());
}

/// Loads a package of the catalog again and again, a real model with a real tokeniser.
#[tokio::test]
async fn the_memory_of_an_exchanged_version_is_given_back() {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/sentiment");
    let mut command = expert(&[package]);
    command.env("NANOGRID__REPOSITORY__ALLOW_CHANGES", "true");
    let mut child = command.spawn().expect("the binary starts");
    let mut log = Log::of(&mut child);
    let address = log.line("serving").await["grpc"].as_str().expect("the address is a field").to_owned();
    log.line("ready").await;
    let channel = nanogrid_serving::endpoint(&address).unwrap().connect_lazy();
    let mut client = GrpcInferenceServiceClient::new(channel.clone());
    let mut info = ExpertInfoClient::new(channel);
    let mut memory = Vec::new();
    for _ in 0..10 {
        memory.push(info.get_info(GetInfoRequest {}).await.unwrap().into_inner().memory >> 20);
        let again = RepositoryModelLoadRequest { model_name: "sentiment".into(), ..Default::default() };
        client.repository_model_load(again).await.expect("loaded again");
    }
    println!("MiB before each exchange: {memory:?}");
    // Room for two at once, and what the allocator keeps of it. Were they all kept, it would be four times as much.
    assert!(memory[9] < memory[0] * 2, "{memory:?}");
}

/// The log of a process, wherever it writes it: one JSON object a line.
pub(crate) struct Log(tokio::io::Lines<BufReader<Box<dyn tokio::io::AsyncRead + Unpin + Send>>>);

impl Log {
    pub(crate) fn of(child: &mut Child) -> Self {
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let both: Box<dyn tokio::io::AsyncRead + Unpin + Send> =
            Box::new(tokio::io::AsyncReadExt::chain(err, out));
        Self(BufReader::new(both).lines())
    }

    /// The next line with this message.
    pub(crate) async fn line(&mut self, message: &str) -> serde_json::Value {
        let found = async {
            while let Some(line) = self.0.next_line().await.expect("text") {
                let line: serde_json::Value =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a log line: {line}"));
                if line["message"] == message {
                    return line;
                }
            }
            panic!("the log ended without `{message}`");
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no `{message}` in the log"))
    }
}
