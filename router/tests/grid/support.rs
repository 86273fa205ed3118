//! A whole grid in one process: a router started as `main` starts it, and scripted experts.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
        infer_parameter::ParameterChoice,
    },
    tensor::{Data, Tensor, set_inputs},
    v1::{
        self, InferRequest, InferResponse, OutcomeStatus, RolloutStep, StartRolloutRequest,
        control_client::ControlClient, grid_client::GridClient, infer_request::Payload, outcome,
    },
};
use nanogrid_router::RouterServer;
use nanogrid_settings::{RolloutHome, RouterSettings};
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};
use tonic::{Code, Status, transport::Channel};

/// A router with its grid file.
pub(crate) struct Grid {
    pub(crate) ops: String,
    pub(crate) channel: Channel,
    folder: TempDir,
    _stop: oneshot::Sender<()>,
    #[allow(dead_code, reason = "for tests of several routers")]
    serving: JoinHandle<Result<(), nanogrid_serving::Error>>,
}

/// `[[expert]]` with its versions: number, weight, endpoints.
#[derive(Clone)]
pub(crate) struct Entry {
    name: &'static str,
    task: &'static str,
    more: &'static str,
    versions: Vec<(u32, u32, Vec<String>)>,
}

pub(crate) fn entry(name: &'static str, expert: &ScriptedExpert) -> Entry {
    entry_at(name, vec![expert.address()])
}

pub(crate) fn entry_at(name: &'static str, addresses: Vec<String>) -> Entry {
    Entry { name, task: "text-classification", more: "", versions: vec![(1, 100, addresses)] }
}

impl Entry {
    pub(crate) fn task(self, task: &'static str) -> Self {
        Self { task, ..self }
    }

    /// Further keys of the table.
    pub(crate) fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    pub(crate) fn versions(self, versions: Vec<(u32, u32, Vec<String>)>) -> Self {
        Self { versions, ..self }
    }
}

/// Tries version 2 of `intent`, with these shares in basis points. Time is not what such tests are about: neither how long a step
/// takes, nor how long an answer does where many tests share a machine.
pub(crate) fn plan(weights: &[u32], least_requests: u64) -> StartRolloutRequest {
    let step = |weight: &u32| RolloutStep { weight: *weight, least_time: None, least_requests };
    StartRolloutRequest {
        expert: "intent".to_owned(),
        canary: "2".to_owned(),
        steps: weights.iter().map(step).collect(),
        slow_from: Some(1e6),
        ..StartRolloutRequest::default()
    }
}

/// An expert for texts that answers one label.
pub(crate) fn labels(name: &str, label: &str) -> ScriptedExpert {
    let profile = Profile::of(name, 1, "text-classification");
    ScriptedExpert::start(profile, Behaviour::labels(&[(label, 0.9)]))
}

pub(crate) fn grid_file(entries: &[Entry]) -> String {
    let mut file = String::new();
    for Entry { name, task, more, versions } in entries {
        let _ = writeln!(file, "[[expert]]\nname = \"{name}\"\ntask = \"{task}\"\n{more}");
        for (version, weight, endpoints) in versions {
            let endpoints: Vec<String> =
                endpoints.iter().map(|address| format!("static://{address}")).collect();
            let _ = writeln!(file, "[[expert.version]]\nversion = {version}\nweight = {weight}");
            let _ = writeln!(file, "endpoints = {endpoints:?}");
        }
    }
    file
}

impl Grid {
    /// Started, with every endpoint ready.
    pub(crate) async fn start(entries: &[Entry]) -> Self {
        let grid = Self::start_with(entries, |_| {}).await;
        grid.until(|experts| {
            experts.iter().all(|expert| expert.endpoints.iter().all(|endpoint| endpoint.ready))
        })
        .await;
        grid
    }

    /// Started, whatever the experts do.
    pub(crate) async fn start_with(entries: &[Entry], change: impl FnOnce(&mut RouterSettings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = RouterSettings {
            grid_file: folder.path().join("grid.toml"),
            reload_every: Duration::from_millis(10),
            classifier: None,
            rollouts: RolloutHome::File(folder.path().join("rollouts.json")),
            rollout_tick: Duration::from_millis(10),
            ..RouterSettings::default()
        };
        settings.server.listen.set_port(0);
        settings.server.ops.set_port(0);
        change(&mut settings);
        fs::write(&settings.grid_file, grid_file(entries)).expect("the grid file can be written");
        let server = RouterServer::bind(&settings).await.expect("the router starts");
        let (address, ops) = (server.local_addr().to_string(), server.ops_addr().to_string());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        let channel =
            nanogrid_serving::endpoint(&address).expect("an address").connect().await.expect("it listens");
        Self { ops, channel, folder, _stop: stop, serving }
    }

    /// It is gone from one moment to the next, and says goodbye to nobody.
    #[allow(dead_code, reason = "for tests of several routers")]
    pub(crate) fn crash(self) {
        self.serving.abort();
    }

    pub(crate) fn client(&self) -> GridClient<Channel> {
        GridClient::new(self.channel.clone())
    }

    pub(crate) fn oip(&self) -> GrpcInferenceServiceClient<Channel> {
        GrpcInferenceServiceClient::new(self.channel.clone())
    }

    /// The operators' side.
    pub(crate) async fn control(&self) -> ControlClient<Channel> {
        let endpoint = nanogrid_serving::endpoint(&self.ops).expect("an address");
        ControlClient::new(endpoint.connect().await.expect("the ops port listens"))
    }

    pub(crate) async fn infer(&self, request: InferRequest) -> Result<InferResponse, Status> {
        self.client().infer(request).await.map(tonic::Response::into_inner)
    }

    /// Puts another state of the grid file in place, as an editor or a tool does.
    pub(crate) fn write(&self, text: &str) {
        let new = self.path("grid.toml.new");
        fs::write(&new, text).expect("writable");
        fs::rename(new, self.path("grid.toml")).expect("writable");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for the list of experts to be as wanted, and returns it.
    pub(crate) async fn until(&self, wanted: impl Fn(&[v1::Expert]) -> bool) -> Vec<v1::Expert> {
        let mut client = self.client();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let list =
                client.list_experts(v1::ListExpertsRequest {}).await.expect("the router lists").into_inner();
            if wanted(&list.experts) {
                return list.experts;
            }
            assert!(Instant::now() < deadline, "still not as wanted: {:#?}", list.experts);
            tick().await;
        }
    }

    pub(crate) async fn until_ready(&self, name: &str, ready: bool) {
        self.until(|experts| experts.iter().any(|expert| expert.name == name && expert.ready == ready)).await;
    }
}

/// Between two looks at something that will change.
pub(crate) async fn tick() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// Waits for `is_so`.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        tick().await;
    }
}

/// A text for these experts.
pub(crate) fn text_for(experts: &[&str]) -> InferRequest {
    InferRequest {
        id: "7".to_owned(),
        payload: Some(Payload::Text("i need to move 200 dollars".to_owned())),
        experts: experts.iter().map(|name| (*name).to_owned()).collect(),
        ..InferRequest::default()
    }
}

pub(crate) fn with_options(request: InferRequest, options: v1::InferOptions) -> InferRequest {
    InferRequest { options: Some(options), ..request }
}

/// Rows of BYTES under the name `text`, for `model`.
pub(crate) fn rows_for(model: &str, rows: &[&str]) -> ModelInferRequest {
    let mut message =
        ModelInferRequest { model_name: model.to_owned(), id: "7".to_owned(), ..Default::default() };
    let data = Data::Bytes(rows.iter().map(|row| bytes::Bytes::copy_from_slice(row.as_bytes())).collect());
    set_inputs(&mut message, vec![Tensor { name: "text".to_owned(), shape: vec![rows.len()], data }]);
    let parameter =
        InferParameter { parameter_choice: Some(ParameterChoice::StringParam("kept".to_owned())) };
    message.parameters.insert("custom".to_owned(), parameter);
    message
}

/// The best label of an expert's answer.
#[track_caller]
pub(crate) fn label<'a>(response: &'a InferResponse, expert: &str) -> &'a str {
    let outcome = outcome_of(response, expert);
    match &outcome.result {
        Some(outcome::Result::Labels(labels)) => &labels.labels[0].label,
        other => panic!("no labels from {expert}: {other:?}, {:?}", outcome.error),
    }
}

#[track_caller]
pub(crate) fn outcome_of<'a>(response: &'a InferResponse, expert: &str) -> &'a v1::Outcome {
    let outcome = response.outcomes.iter().find(|outcome| outcome.expert == expert);
    outcome.unwrap_or_else(|| panic!("{expert} was not asked: {response:#?}"))
}

/// The one missing part: its status and its cause.
#[track_caller]
pub(crate) fn missing(response: &InferResponse) -> (&str, OutcomeStatus, &str, bool) {
    let [missing] = &response.missing[..] else { panic!("not one missing part: {response:#?}") };
    (&missing.expert, missing.status(), &missing.cause, missing.retryable)
}

#[track_caller]
pub(crate) fn assert_status<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, words: &str) {
    let status = result.expect_err(words);
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(words), "`{words}` is not in: {}", status.message());
}

/// `/metrics`, as Prometheus gets it.
pub(crate) async fn metrics(grid: &Grid) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut connection = tokio::net::TcpStream::connect(&grid.ops).await.expect("the ops port listens");
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", grid.ops);
    connection.write_all(request.as_bytes()).await.expect("writable");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("readable");
    answer
}

/// The line of `metrics` that begins like this must end like that.
#[track_caller]
pub(crate) fn assert_metric(metrics: &str, name: &str, labels: &[&str], value: &str) {
    let is_it = |line: &&str| {
        line.starts_with(name)
            && labels.iter().all(|label| line.contains(label))
            && line.ends_with(&format!(" {value}"))
    };
    assert!(metrics.lines().any(|line| is_it(&line)), "no {name} {labels:?} {value} in:\n{metrics}");
}
