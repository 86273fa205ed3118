//! One row to the expert, and what it says.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use bytes::Bytes;
use nanogrid_evaluation::{Answer, Row, Truth};
use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse,
        grpc_inference_service_client::GrpcInferenceServiceClient, infer_parameter::ParameterChoice,
    },
    tensor::{self, Data, Tensor},
};
use nanogrid_resilience::Backoff;
use nanogrid_serving::status::{self, metadata};
use tokio::time::Instant;
use tonic::{
    Code, Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::Channel,
};

use crate::{
    eval::{answer::Answered, target::Target},
    up::probe::first_question,
};

/// A call that takes longer is no answer any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a busy grid refuses is sent so many times; with the waits between them that is about a minute.
const SENDS: u32 = 40;
const WAIT: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));

/// A test is work that can wait: it must not take a grid from its users.
const CRITICALITY: &str = "SHEDDABLE";

/// More labels than any classifier has.
const ALL: i64 = 1 << 20;

/// From here a label is taken, where several may be right and nothing else was said.
const DEFAULT_THRESHOLD: f32 = 0.5;

/// What the first column of a row is.
pub(crate) enum Input {
    Text,
    /// A path, from the folder of the file.
    Image {
        beside: PathBuf,
    },
}

pub(crate) struct Asker {
    client: GrpcInferenceServiceClient<Channel>,
    expert: String,
    version: String,
    behind_router: bool,
    input: Input,
    threshold: Option<f32>,
}

/// A row that the expert was asked about.
pub(crate) struct Asked {
    pub(crate) row: Row,
    pub(crate) result: Result<Said, Failure>,
}

pub(crate) struct Said {
    pub(crate) answer: Answer,
    pub(crate) version: String,
    pub(crate) latency: Duration,
}

/// Why a row has no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A few words from a small set: failures are counted by it.
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into() }
    }
}

impl From<Status> for Failure {
    fn from(refused: Status) -> Self {
        Self::new(status::name(refused.code()), refused.message())
    }
}

impl Asker {
    pub(crate) fn new(target: &Target, input: Input, threshold: Option<f32>) -> Self {
        Self {
            client: target.client.clone(),
            expert: target.expert.clone(),
            version: target.version.clone(),
            behind_router: target.behind_router,
            input,
            threshold,
        }
    }

    pub(crate) async fn ask(&self, row: Row) -> Asked {
        let result = self.answer(&row).await;
        Asked { row, result }
    }

    async fn answer(&self, row: &Row) -> Result<Said, Failure> {
        let message = self.message(row)?;
        let (response, latency) = send(&self.client, message).await?;
        let version = self.version(response.metadata(), response.get_ref())?;
        let answered = Answered::read(response.into_inner())?;
        let answer = match &row.truth {
            Truth::Label(_) => Answer::Label(answered.best(self.threshold.unwrap_or(0.0))),
            Truth::Labels(_) => {
                Answer::Labels(answered.labels_from(self.threshold.unwrap_or(DEFAULT_THRESHOLD)))
            }
            Truth::Spans(_) => Answer::Spans(answered.spans_from(self.threshold.unwrap_or(0.0))),
            Truth::Text(_) => Answer::Text(answered.text()?),
        };
        Ok(Said { answer, version, latency })
    }

    fn message(&self, row: &Row) -> Result<ModelInferRequest, Failure> {
        let (name, bytes) = match &self.input {
            Input::Text => ("text", Bytes::copy_from_slice(row.input.as_bytes())),
            Input::Image { beside } => {
                let path = beside.join(&row.input);
                let read = std::fs::read(&path);
                let unreadable = |error| {
                    Failure::new("unreadable image", format!("cannot read {}: {error}", path.display()))
                };
                ("image", read.map_err(unreadable)?.into())
            }
        };
        let mut message = question(&self.expert, &self.version, name, bytes);
        if let Truth::Labels(_) = row.truth {
            ask_for(&mut message, ALL);
        }
        Ok(message)
    }

    /// The version that answered. An answer in the expert's place says nothing about the expert.
    fn version(&self, told: &MetadataMap, response: &ModelInferResponse) -> Result<String, Failure> {
        let told = |key| told.get(key).and_then(|value| value.to_str().ok());
        let (expert, version) = (told(metadata::EXPERT), told(metadata::VERSION));
        match (expert, version) {
            (Some(other), _) if other != self.expert => {
                let message = format!("the router had `{other}` answer in its place: its [[fallback]]");
                Err(Failure::new("answered by another", message))
            }
            (_, None) if self.behind_router => {
                let message = "the router gave a fixed label in its place: its [[fallback]]";
                Err(Failure::new("answered by another", message))
            }
            (_, version) => Ok(version.unwrap_or(&response.model_version).to_owned()),
        }
    }
}

/// Every label that the expert can give; `None` when it does not say.
pub(crate) async fn labels(target: &Target) -> Option<BTreeSet<String>> {
    let (input, bytes) = first_question(target.task)?;
    let mut message = question(&target.expert, &target.version, input, Bytes::from_static(bytes));
    ask_for(&mut message, ALL);
    let (response, _) = send(&target.client, message).await.ok()?;
    let labels = Answered::read(response.into_inner()).ok()?.labels_from(0.0);
    Some(labels.into_iter().chain(target.none.clone()).collect())
}

fn question(expert: &str, version: &str, input: &str, bytes: Bytes) -> ModelInferRequest {
    let mut message = ModelInferRequest {
        model_name: expert.to_owned(),
        model_version: version.to_owned(),
        ..ModelInferRequest::default()
    };
    let tensor = Tensor { name: input.to_owned(), shape: vec![1], data: Data::Bytes(vec![bytes]) };
    tensor::set_inputs(&mut message, vec![tensor]);
    message
}

fn ask_for(message: &mut ModelInferRequest, n_labels: i64) {
    let choice = Some(ParameterChoice::Int64Param(n_labels));
    message.parameters.insert("top_k".to_owned(), InferParameter { parameter_choice: choice });
}

/// The answer, and how long the call took that brought it.
async fn send(
    client: &GrpcInferenceServiceClient<Channel>,
    message: ModelInferRequest,
) -> Result<(Response<ModelInferResponse>, Duration), Status> {
    let mut n_sent = 0;
    loop {
        let mut request = Request::new(message.clone());
        request.set_timeout(PATIENCE);
        request.metadata_mut().insert(metadata::CRITICALITY, MetadataValue::from_static(CRITICALITY));
        let started = Instant::now();
        let refused = match client.clone().model_infer(request).await {
            Ok(response) => return Ok((response, started.elapsed())),
            Err(refused) => refused,
        };
        n_sent += 1;
        if refused.code() != Code::ResourceExhausted || n_sent == SENDS {
            return Err(refused);
        }
        let asked = refused.metadata().get(metadata::RETRY_PUSHBACK).and_then(|value| value.to_str().ok());
        match asked.and_then(|millis| millis.parse::<i64>().ok()) {
            // gRPC's way to say: not at all.
            Some(..0) => return Err(refused),
            Some(millis) => {
                let least = Duration::from_millis(millis.unsigned_abs());
                tokio::time::sleep(least.max(WAIT.delay(n_sent))).await;
            }
            None => tokio::time::sleep(WAIT.delay(n_sent)).await,
        }
    }
}

#[cfg(test)]
mod tests;
