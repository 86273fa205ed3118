//! New versions of a real expert are tried, with real processes: what is worse is taken back, what is as good can take over
//! under load, and a router that dies in between goes on where it was.

mod harness;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use harness::{Grid, LIMIT, copy, default_version, nanogrid, root};
use nanogrid_proto::v1::{
    InferOptions, InferRequest, ListExpertsRequest, grid_client::GridClient, infer_request::Payload,
};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

const REVIEW: &str = "a gripping film with wonderful actors, i loved every minute";

/// A grid with both versions of `sentiment`: the first has all the traffic, the second has none yet.
struct Two {
    grid: Grid,
    /// The second version's processes; its own router is not asked.
    second: Grid,
    _catalogs: [TempDir; 2],
}

impl Two {
    /// `labels`: what the second version calls the two classes of the same model.
    async fn start(labels: [&str; 2]) -> Self {
        let catalogs = [catalog(1, ["negative", "positive"]), catalog(2, labels)];
        let up = |catalog: &TempDir| Grid::up(&["--catalog", catalog.path().to_str().expect("UTF-8")]);
        let [grid, second] = catalogs.each_ref().map(up);
        let two = Self { grid, second, _catalogs: catalogs };
        two.write(&[(1, 100), (2, 0)]);
        two.until_ready(2).await;
        two
    }

    /// The grid file, with these versions and their weights in percent.
    fn write(&self, versions: &[(u32, u32)]) {
        let mut text = "[[expert]]\nname = \"sentiment\"\ntask = \"text-classification\"\n".to_owned();
        for (version, weight) in versions {
            let owner = if *version == 1 { &self.grid } else { &self.second };
            let address = owner.process("sentiment")["address"].as_str().expect("an address");
            text += &format!(
                "[[expert.version]]\nversion = {version}\nweight = {weight}\nendpoints = [\"static://{address}\"]\n"
            );
        }
        let folder = self.grid.folder.path();
        fs::write(folder.join("grid.toml.next"), text).expect("written");
        fs::rename(folder.join("grid.toml.next"), folder.join("grid.toml")).expect("replaced");
    }

    async fn until_ready(&self, n_endpoints: usize) {
        let url = format!("http://{}", self.grid.addr());
        until("every version is ready", async || {
            // A router that has just been started does not listen yet.
            let Ok(mut client) = GridClient::connect(url.clone()).await else { return false };
            let list = client.list_experts(ListExpertsRequest {}).await.expect("a list").into_inner();
            let endpoints = &list.experts[0].endpoints;
            endpoints.len() == n_endpoints && endpoints.iter().all(|endpoint| endpoint.ready)
        })
        .await;
    }

    async fn client(&self) -> GridClient<Channel> {
        GridClient::connect(format!("http://{}", self.grid.addr())).await.expect("the router listens")
    }

    /// `nanogrid rollout ...`, as JSON.
    #[track_caller]
    fn rollout(&self, arguments: &[&str]) -> Value {
        let ops = self.grid.state["ops"].as_str().expect("an address");
        let output =
            nanogrid(&["rollout"]).args(arguments).args(["--json", "--ops", ops]).output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}\n{}", self.grid.logs());
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn status(&self) -> Value {
        self.rollout(&["status", "sentiment"])["rollouts"][0].clone()
    }
}

/// A catalog with `sentiment` alone: its shipped version, under this number.
fn catalog(version: u32, labels: [&str; 2]) -> TempDir {
    let catalog = tempfile::tempdir().expect("a folder");
    let folder = catalog.path().join("sentiment");
    copy(&root().join("experts/catalog/sentiment"), &folder);
    let shipped = default_version(&folder);
    let package = folder.join(version.to_string());
    if version != shipped {
        fs::rename(folder.join(shipped.to_string()), &package).expect("renamed");
    }
    let change = |path: &std::path::Path, old: &str, new: &str| {
        let text = fs::read_to_string(path).expect("readable");
        assert!(text.contains(old), "`{old}` is not in {}", path.display());
        fs::write(path, text.replacen(old, new, 1)).expect("written");
    };
    change(
        &folder.join("expert.toml"),
        &format!("default-version = {shipped}"),
        &format!("default-version = {version}"),
    );
    change(&package.join("version.toml"), &format!("version = {shipped}"), &format!("version = {version}"));
    let config = package.join("config.json");
    let digest = |path| {
        Sha256::digest(fs::read(path).expect("readable"))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let before = digest(&config);
    let [zero, one] = labels;
    let text = serde_json::json!({ "id2label": { "0": zero, "1": one }, "label2id": { zero: 0, one: 1 } });
    fs::write(&config, text.to_string()).expect("written");
    change(&package.join("version.toml"), &before, &digest(&config));
    catalog
}

/// Loss is what these tests are about, and not how busy the machine is.
fn patient() -> InferOptions {
    let deadline = prost_types::Duration { seconds: 10, nanos: 0 };
    InferOptions { deadline: Some(deadline), ..InferOptions::default() }
}

/// Clients that ask until they are told to stop; each answer must be there.
struct Load {
    n_answered: Arc<AtomicUsize>,
    stop: CancellationToken,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    async fn start(two: &Two) -> Self {
        let (stop, n_answered) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let mut clients = Vec::new();
        for _ in 0..8 {
            let (stop, n_answered, mut client) = (stop.clone(), n_answered.clone(), two.client().await);
            clients.push(tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let request = InferRequest {
                        payload: Some(Payload::Text(REVIEW.to_owned())),
                        experts: vec!["sentiment".to_owned()],
                        options: Some(patient()),
                        ..InferRequest::default()
                    };
                    let answer = client.infer(request).await.expect("an answer").into_inner();
                    assert!(answer.complete, "{answer:#?}");
                    n_answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { n_answered, stop, clients }
    }

    fn n_answered(&self) -> usize {
        self.n_answered.load(Ordering::Relaxed)
    }

    async fn end(self) -> usize {
        self.stop.cancel();
        for client in self.clients {
            client.await.expect("no answer was lost");
        }
        self.n_answered.load(Ordering::Relaxed)
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        // Between two looks at something that will change.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_its_labels_shuffled_is_taken_back_before_anybody_gets_its_answers() {
    let two = Two::start(["positive", "negative"]).await;
    let load = Load::start(&two).await;
    two.rollout(&[
        "start",
        "sentiment",
        "2",
        "--steps",
        "0,50,100",
        "--least-time",
        "1s",
        "--slow-from",
        "1000",
    ]);
    until("its end", async || two.status()["phase"] != "running").await;
    let end = two.status();
    assert_eq!((&end["phase"], &end["weight"]), (&"rolled back".into(), &0.into()), "{end:#}");
    assert!(end["why"].as_str().expect("text").contains("other answers"), "{end:#}");
    load.end().await;
    let other = two.rollout(&["disagreements", "sentiment"])["disagreements"][0].clone();
    assert!(other["stable_answer"].as_str().expect("text").contains("positive"), "{other:#}");
    assert!(other["canary_answer"].as_str().expect("text").contains("negative"), "{other:#}");
    let history = two.rollout(&["history", "sentiment", "--replay"]);
    assert_eq!(
        (&history["decisions"][0]["verdict"], &history["decisions"][0]["replayed"]),
        (&"roll-back".into(), &"the same".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_loses_nothing_and_a_router_that_dies_half_way_goes_on() {
    let mut two = Two::start(["negative", "positive"]).await;
    two.rollout(&[
        "start",
        "sentiment",
        "2",
        "--steps",
        "20,100",
        "--least-requests",
        "1000000",
        "--slow-from",
        "1000",
    ]);
    let load = Load::start(&two).await;
    until("it is seen", async || two.status()["metrics"][0]["canary_requests"].as_u64() >= Some(20)).await;
    load.end().await;
    let before = two.rollout(&["pause", "sentiment"])["rollouts"][0].clone();
    let file = two.grid.folder.path().join("rollouts.json");
    until("it is saved", async || fs::read_to_string(&file).is_ok_and(|text| text.contains("paused"))).await;
    let killed = two.grid.pid("router");
    kill_process(killed, Signal::KILL).expect("it runs");
    two.grid.wait_for("its return", |state| {
        let router = &state["processes"][0];
        router["restarts"] == 1 && !router["pid"].is_null()
    });
    two.until_ready(2).await;
    let after = two.status();
    for key in ["id", "phase", "weight", "started", "step_began"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    let seen = |status: &Value| status["metrics"][0]["canary_requests"].as_u64();
    assert!(seen(&after) >= seen(&before) && seen(&before) >= Some(20), "{before:#}\n{after:#}");

    let load = Load::start(&two).await;
    two.rollout(&["resume", "sentiment"]);
    until("it is asked", async || load.n_answered() > 500).await;
    two.rollout(&["promote", "sentiment"]);
    two.write(&[(2, 100)]);
    two.until_ready(1).await;
    kill_process(two.grid.pid("sentiment"), Signal::TERM).expect("it runs");
    until("the load goes on", async || load.n_answered() >= 2_000).await;
    assert!(load.end().await >= 2_000);
}
