//! Follows the health of a process from its start, and measures how long it took to its first answer.

use std::{fmt, time::Duration};

use futures::future::{join, join_all};
use nanogrid_proto::{
    inference::{ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient},
    tensor::{self, Data, Tensor},
    v1::{
        GetInfoRequest, GetInfoResponse, InferRequest, RouteRequest, expert_info_client::ExpertInfoClient,
        grid_client::GridClient, infer_request::Payload,
    },
};
use nanogrid_settings::{ExpertName, Task};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    print,
    up::{
        board::{Board, Level, Readiness, Served},
        memory,
        process::Spec,
    },
};

/// After a broken connection to a process that still runs.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// The first question to everyone. What is answered does not matter here.
const QUESTION: &str = "hello";

/// The same to whoever looks at images: a PNG of one pixel.
const PIXEL: &[u8] = include_bytes!("pixel.png");

/// What a process answers for.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Router,
    Expert { name: ExpertName, version: u32, task: Task },
}

impl Target {
    pub(crate) fn served(&self) -> Served {
        let (name, version) = match self {
            Self::Router => ("router".to_owned(), String::new()),
            Self::Expert { name, version, .. } => (name.to_string(), version.to_string()),
        };
        Served {
            name,
            version,
            readiness: Readiness::Starting,
            start_up: None,
            first_answer: None,
            refused: None,
        }
    }

    /// As the health service calls it: the whole server, or one expert.
    fn service(&self) -> &str {
        match self {
            Self::Router => "",
            Self::Expert { name, .. } => name.as_str(),
        }
    }

    /// False where nothing was asked, because the task takes neither text nor an image.
    async fn ask(&self, channel: Channel) -> Result<bool, Status> {
        match self {
            Self::Router => {
                let request = InferRequest {
                    payload: Some(Payload::Text(QUESTION.to_owned())),
                    ..InferRequest::default()
                };
                GridClient::new(channel).route(RouteRequest { request: Some(request) }).await?;
                Ok(true)
            }
            Self::Expert { name, task, .. } => {
                let Some((input, question)) = first_question(*task) else { return Ok(false) };
                let mut request =
                    ModelInferRequest { model_name: name.to_string(), ..ModelInferRequest::default() };
                let data = Data::Bytes(vec![question.into()]);
                tensor::set_inputs(
                    &mut request,
                    vec![Tensor { name: input.to_owned(), shape: vec![1], data }],
                );
                GrpcInferenceServiceClient::new(channel).model_infer(request).await?;
                Ok(true)
            }
        }
    }
}

/// The input of an expert for `task`, and what it is asked first.
pub(crate) fn first_question(task: Task) -> Option<(&'static str, &'static [u8])> {
    match task {
        Task::TextClassification
        | Task::TokenClassification
        | Task::TextToText
        | Task::Embedding
        | Task::TextToSpeech => Some(("text", QUESTION.as_bytes())),
        Task::ImageClassification => Some(("image", PIXEL)),
        Task::SpeechToText | Task::Series | Task::Tensor => None,
    }
}

/// Follows one process from one start to its end.
pub(crate) struct Probe<'a> {
    /// Of the process on the board.
    pub(crate) index: usize,
    pub(crate) spec: &'a Spec,
    pub(crate) board: &'a Board,
    pub(crate) started: Instant,
    /// Cancelled when everything that the process serves has had its chance.
    pub(crate) is_up: &'a CancellationToken,
}

impl Probe<'_> {
    /// Writes the readiness of the process to the board for as long as it is polled.
    pub(crate) async fn follow(&self) {
        let targets = join_all((0..self.spec.targets.len()).map(|at| self.follow_target(at)));
        join(targets, self.find_refused()).await;
    }

    async fn follow_target(&self, at: usize) {
        loop {
            let channel = self.connect().await;
            // A stream ends with the process, which is noticed elsewhere, or with a connection that broke.
            let _ = self.follow_health(at, channel).await;
            self.not_ready(at);
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }

    /// Once the process as a whole serves, what it does not serve now it will not serve at all.
    async fn find_refused(&self) {
        let Ok(info) = self.info_when_serving().await else { return };
        for (at, target) in self.spec.targets.iter().enumerate() {
            let Target::Expert { name, .. } = target else { continue };
            let package = info.packages.iter().find(|package| package.name == name.as_str());
            if package.is_some_and(|package| package.ready) {
                continue;
            }
            let reason = package.map_or("it is not among what the process serves", |package| &package.reason);
            self.board.say(Level::Warn, format!("{target} is not served: {reason}"));
            self.board.process(self.index, |process| process.serves[at].refused = Some(reason.to_owned()));
            self.set_readiness(at, Readiness::Refused);
        }
    }

    async fn info_when_serving(&self) -> Result<GetInfoResponse, Status> {
        let channel = self.connect().await;
        let mut replies =
            HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await?.into_inner();
        while let Some(reply) = replies.message().await? {
            if reply.status() == ServingStatus::Serving {
                return Ok(ExpertInfoClient::new(channel).get_info(GetInfoRequest {}).await?.into_inner());
            }
        }
        Err(Status::unavailable("the process has ended"))
    }

    /// Connects as soon as the process listens. Tries are as frequent as they can be without blurring what is measured.
    async fn connect(&self) -> Channel {
        let uri = format!("http://{}", self.spec.address);
        let endpoint = nanogrid_serving::endpoint(&uri).expect("an address is a host and a port");
        loop {
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(_) => {
                    let pause = self.started.elapsed() / 50;
                    tokio::time::sleep(pause.clamp(Duration::from_millis(1), Duration::from_millis(200)))
                        .await;
                }
            }
        }
    }

    async fn follow_health(&self, at: usize, channel: Channel) -> Result<(), Status> {
        let target = &self.spec.targets[at];
        let request = HealthCheckRequest { service: target.service().to_owned() };
        let mut replies = HealthClient::new(channel.clone()).watch(request).await?.into_inner();
        while let Some(reply) = replies.message().await? {
            match reply.status() {
                ServingStatus::Serving => {
                    if !self.has_been_ready(at) {
                        self.first_time(at, channel.clone()).await;
                    }
                    self.set_readiness(at, Readiness::Ready);
                }
                ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown => {
                    self.not_ready(at)
                }
            }
        }
        Ok(())
    }

    fn not_ready(&self, at: usize) {
        if self.has_been_ready(at) {
            self.set_readiness(at, Readiness::NotReady);
        }
    }

    fn set_readiness(&self, at: usize, readiness: Readiness) {
        self.board.process(self.index, |process| process.serves[at].readiness = readiness);
        if self.board.watch().borrow().processes[self.index].has_started() {
            self.is_up.cancel();
        }
    }

    fn has_been_ready(&self, at: usize) -> bool {
        self.board.watch().borrow().processes[self.index].serves[at].start_up.is_some()
    }

    async fn first_time(&self, at: usize, channel: Channel) {
        let target = &self.spec.targets[at];
        let start_up = self.started.elapsed();
        let answer = target.ask(channel).await;
        let first_answer = matches!(answer, Ok(true)).then(|| self.started.elapsed());
        self.board.process(self.index, |process| {
            process.failed_starts = 0;
            process.memory = process.pid.map(|pid| memory::resident(&[pid])[0]).unwrap_or_default();
            let served = &mut process.serves[at];
            (served.start_up, served.first_answer) = (Some(start_up), first_answer);
        });
        match (answer, first_answer) {
            (Err(status), _) => {
                let text = format!("{target}: ready, but fails on a first request: {}", status.message());
                self.board.say(Level::Warn, text);
            }
            (Ok(_), first_answer) => {
                let (what, time) = first_answer.map_or(("ready", start_up), |time| ("first answer", time));
                let text =
                    format!("{target} at {}: {what} {} after exec", self.spec.address, print::duration(time));
                self.board.say(Level::Seen, text);
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router => f.write_str("router"),
            Self::Expert { name, version, .. } => write!(f, "{name} v{version}"),
        }
    }
}
