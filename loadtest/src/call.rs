//! One call: sends a case over the wire and judges what comes back. Never fails: an error is a verdict.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nanogrid_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use nanogrid_proto::inference::{ModelInferRequest, ServerMetadataRequest};
use nanogrid_proto::tensor::{self, Data, Tensor};
use nanogrid_proto::v1::grid_client::GridClient;
use nanogrid_proto::v1::{InferRequest, OutcomeStatus, infer_request::Payload};
use serde::Serialize;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::cases::{Case, Input};
use crate::{Error, judge};

/// Which of the two services is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// `nanogrid.v1.Grid/Infer`: a router.
    Grid,
    /// `inference.GRPCInferenceService/ModelInfer`: a router, an expert, or any other server of the protocol.
    Oip,
}

/// Who is to answer a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The router's classifier decides, but for cases that are asked by name.
    Classifier,
    /// Each case names its own expert, so that the classifier is not consulted.
    EachItsOwn,
    /// Every case goes to this one.
    Expert(String),
    /// Each case names its own expert, and these beside it: all of them are to answer.
    Beside(Vec<String>),
}

/// Who is shed first under overload; sent as metadata, so that it works for both services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Criticality {
    Sheddable,
    SheddablePlus,
    Critical,
    CriticalPlus,
}

impl Criticality {
    /// All of them, those who are shed first in front.
    pub const ALL: [Self; 4] = [Self::Sheddable, Self::SheddablePlus, Self::Critical, Self::CriticalPlus];

    /// As the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "SHEDDABLE",
            Self::SheddablePlus => "SHEDDABLE_PLUS",
            Self::Critical => "CRITICAL",
            Self::CriticalPlus => "CRITICAL_PLUS",
        }
    }
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The label or the text that was expected.
    Right,
    /// An answer to a case that expects nothing.
    Unchecked,
    /// Another one.
    Wrong {
        /// What came.
        got: String,
    },
    /// The call went well, but the answer of the expert is not in it.
    Missing {
        /// Whose answer it is that is not there, where that is known.
        expert: Option<String>,
        /// What became of the call to it; unspecified = it was not asked, or the answer is somebody else's.
        status: OutcomeStatus,
        /// For people.
        why: String,
    },
    /// The call failed.
    Error {
        /// The status, or DEADLINE_EXCEEDED when the generator gave up.
        code: Code,
        /// For people.
        message: String,
    },
}

/// A case and its message, built once before the run.
#[derive(Clone, Debug)]
pub struct Prepared {
    case: Case,
    /// Experts whose answers are to be there too.
    beside: Vec<String>,
    message: Message,
}

#[derive(Clone, Debug)]
enum Message {
    Grid(InferRequest),
    Oip(ModelInferRequest),
}

impl Prepared {
    /// The message that asks `case` of whom `ask` says.
    pub fn new(case: Case, api: Api, ask: &Ask) -> Self {
        let (expert, beside) = match ask {
            Ask::Classifier => (case.expert.clone().filter(|_| case.by_name), Vec::new()),
            Ask::EachItsOwn => (case.expert.clone(), Vec::new()),
            Ask::Expert(name) => (Some(name.clone()), Vec::new()),
            Ask::Beside(others) => (case.expert.clone(), others.clone()),
        };
        let message = match api {
            Api::Grid => Message::Grid(grid_message(&case, expert.iter().chain(&beside).cloned().collect())),
            Api::Oip => Message::Oip(oip_message(&case, expert)),
        };
        Self { case, beside, message }
    }

    /// What is sent and what should come back.
    pub fn case(&self) -> &Case {
        &self.case
    }
}

fn grid_message(case: &Case, experts: Vec<String>) -> InferRequest {
    InferRequest { payload: Some(payload(&case.input)), experts, ..InferRequest::default() }
}

pub(crate) fn payload(input: &Input) -> Payload {
    match input {
        Input::Text(text) => Payload::Text(text.clone()),
        Input::Image { file, .. } => Payload::Image(file.clone()),
    }
}

fn oip_message(case: &Case, expert: Option<String>) -> ModelInferRequest {
    let (name, element, decided) = match &case.input {
        Input::Text(text) => ("text", Bytes::from(text.clone()), None),
        // There is nothing to classify: `auto` takes texts alone.
        Input::Image { file, .. } => ("image", file.clone(), case.expert.clone()),
    };
    let model_name = expert.or(decided).unwrap_or_else(|| "auto".to_owned());
    let mut message = ModelInferRequest { model_name, ..ModelInferRequest::default() };
    let data = Data::Bytes(vec![element]);
    tensor::set_inputs(&mut message, vec![Tensor { name: name.to_owned(), shape: vec![1], data }]);
    message
}

/// Sends calls over one or several connections in turn.
#[derive(Debug)]
pub struct Caller {
    channels: Vec<Channel>,
    next: AtomicUsize,
    timeout: Duration,
    criticality: Option<Criticality>,
}

impl Caller {
    /// Opens `n_connections` to `addr` (`host:port`, or with `http://`); a call is given up after `timeout`.
    pub async fn connect(addr: &str, n_connections: usize, timeout: Duration) -> Result<Self, Error> {
        let uri = if addr.contains("://") { addr.to_owned() } else { format!("http://{addr}") };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|_| Error::BadAddress { addr: addr.to_owned() })?
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(5));
        let mut channels = Vec::with_capacity(n_connections);
        for _ in 0..n_connections {
            let channel = endpoint.connect().await;
            channels.push(channel.map_err(|source| Error::Unreachable { addr: addr.to_owned(), source })?);
        }
        Ok(Self::over(channels, timeout))
    }

    /// Over connections that exist; at least one.
    pub fn over(channels: Vec<Channel>, timeout: Duration) -> Self {
        Self { channels, next: AtomicUsize::new(0), timeout, criticality: None }
    }

    /// Each call says how critical it is; `None` = the server's default.
    #[must_use]
    pub fn with_criticality(self, criticality: Option<Criticality>) -> Self {
        Self { criticality, ..self }
    }

    /// Sends and judges. Dropping the future cancels the call on the wire.
    pub async fn call(&self, prepared: &Prepared) -> Verdict {
        let idx = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        let channel = self.channels[idx].clone();
        let judged = async {
            match &prepared.message {
                Message::Grid(message) => {
                    let response = GridClient::new(channel).infer(self.request(message)).await?;
                    Ok(judge::grid(&prepared.case, &prepared.beside, response.get_ref()))
                }
                Message::Oip(message) => {
                    let mut client = GrpcInferenceServiceClient::new(channel);
                    let response = client.model_infer(self.request(message)).await?;
                    let expert = response.metadata().get("x-nanogrid-expert");
                    let expert = expert.and_then(|name| name.to_str().ok()).map(str::to_owned);
                    Ok(judge::oip(&prepared.case, response.into_inner(), expert))
                }
            }
        };
        match tokio::time::timeout(self.timeout, judged).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(status)) => self.error(status),
            Err(_) => self.given_up(),
        }
    }

    /// Name and version the server gives itself, when it tells.
    pub async fn server(&self) -> Option<String> {
        let mut client = GrpcInferenceServiceClient::new(self.channels.first()?.clone());
        let asked = tokio::time::timeout(self.timeout, client.server_metadata(ServerMetadataRequest {}));
        let metadata = asked.await.ok()?.ok()?.into_inner();
        Some(format!("{} {}", metadata.name, metadata.version))
    }

    fn request<M: Clone>(&self, message: &M) -> Request<M> {
        let mut request = Request::new(message.clone());
        request.set_timeout(self.timeout);
        if let Some(criticality) = self.criticality {
            let value = MetadataValue::from_static(criticality.as_str());
            request.metadata_mut().insert("x-nanogrid-criticality", value);
        }
        request
    }

    fn error(&self, status: Status) -> Verdict {
        // tonic's client reports its own timer as CANCELLED, and nothing else here cancels.
        if status.code() == Code::Cancelled && status.message() == "Timeout expired" {
            return self.given_up();
        }
        Verdict::Error { code: status.code(), message: status.message().to_owned() }
    }

    fn given_up(&self) -> Verdict {
        Verdict::Error {
            code: Code::DeadlineExceeded,
            message: format!("no answer within {:?}", self.timeout),
        }
    }
}

#[cfg(test)]
mod tests;
