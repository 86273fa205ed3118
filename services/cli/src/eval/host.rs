//! An expert of a package folder, in a process of its own for as long as it is tested: the very program that serves it in a
//! grid, so what is measured is what will be served.

use std::{path::Path, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::oneshot,
};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    error::Error,
    up::{
        environment::{self, Kind},
        plan::{EXPERT, program},
    },
};

/// A large model on a busy machine; only what hangs reaches it.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Lines of the process that are kept to say why it ended.
const KEPT: usize = 8;

/// Ends the process when it is dropped.
pub(crate) struct Host {
    _child: Child,
    channel: Channel,
}

impl Host {
    /// Starts the process, and waits until it serves `folder`.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Error> {
        let mut child = spawn(folder)?;
        let (send, address) = oneshot::channel();
        let log = child.stderr.take().map(|log| tokio::spawn(follow(log, send)));
        let channel = tokio::select! {
            channel = serving(address) => channel,
            _ = child.wait() => None,
            () = tokio::time::sleep(START_LIMIT) => None,
        };
        if let Some(channel) = channel {
            return Ok(Self { _child: child, channel });
        }
        // Its log ends with it.
        let _ = child.kill().await;
        let said = match log {
            Some(log) => log.await.unwrap_or_default().join("; "),
            None => String::new(),
        };
        Err(Error::Package {
            problem: format!("{} cannot be served by `{EXPERT}`: {said}", folder.display()),
        })
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

fn spawn(folder: &Path) -> Result<Child, Error> {
    let this = std::env::current_exe().map_err(Error::system("find this program"))?;
    let mut command = Command::new(&this);
    for foreign in Kind::Expert.foreign() {
        command.env_remove(foreign);
    }
    command
        .arg("launch")
        .args(["--parent", &std::process::id().to_string(), "--"])
        .arg(program(EXPERT)?)
        .args(["--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
        .arg(folder)
        .envs(environment::FOR_ALL)
        // Where it listens is read from its log.
        .env("NANOGRID__TELEMETRY__LOG", "info")
        .env("NANOGRID__TELEMETRY__LOG_FORMAT", "json")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(Error::file("cannot start", &this))
}

/// `None` when the process ends first.
async fn serving(address: oneshot::Receiver<String>) -> Option<Channel> {
    let channel = nanogrid_serving::endpoint(&address.await.ok()?).ok()?.connect().await.ok()?;
    let mut health = HealthClient::new(channel.clone());
    let mut replies = health.watch(HealthCheckRequest::default()).await.ok()?.into_inner();
    while let Some(reply) = replies.message().await.ok()? {
        if reply.status() == ServingStatus::Serving {
            return Some(channel);
        }
    }
    None
}

/// Reads a log to its end, because a full pipe would stop the process. Tells the address in it, and returns its last
/// words: what is no entry of the log is why the process ended.
async fn follow(log: impl AsyncRead + Unpin, address: oneshot::Sender<String>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Entry {
        grpc: Option<String>,
    }
    let (mut lines, mut address, mut last_words) = (BufReader::new(log).lines(), Some(address), Vec::new());
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Entry { grpc: Some(grpc) }) => {
                if let Some(address) = address.take() {
                    let _ = address.send(grpc);
                }
            }
            Ok(Entry { grpc: None }) => {}
            Err(_) if last_words.len() < KEPT && !line.trim().is_empty() => {
                last_words.push(line.trim().to_owned());
            }
            Err(_) => {}
        }
    }
    last_words
}
