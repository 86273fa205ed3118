//! The Open Inference Protocol as the router speaks it to an expert.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName};
use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse,
        grpc_inference_service_client::GrpcInferenceServiceClient, infer_parameter::ParameterChoice,
    },
    tensor::{Data, Tensor, set_inputs},
};
use nanogrid_settings::ExpertName;
use tokio::time::{Instant, timeout_at};
use tonic::{Extensions, Response, metadata::MetadataMap, transport::Channel};
use tracing::Span;

use crate::{
    error::CallError,
    request::{Payload, Request},
};

/// The method called.
pub(super) const METHOD: &str = "inference.GRPCInferenceService/ModelInfer";

/// Name of the parameter that says what to do with a text, for those who read instructions.
pub const INSTRUCTION: &str = "instruction";

/// The request as every expert gets it, but for the name of the model.
pub(super) fn message(request: &Request) -> ModelInferRequest {
    let (name, shape, data) = match &request.payload {
        Payload::Text(text) => ("text", vec![1], Data::Bytes(vec![Bytes::copy_from_slice(text.as_bytes())])),
        Payload::Image(image) => ("image", vec![1], Data::Bytes(vec![image.clone()])),
        Payload::Audio(audio) => ("audio", vec![1], Data::Bytes(vec![audio.clone()])),
        Payload::Series { values, channels } => {
            let channels = channels.get();
            ("series", vec![1, values.len() / channels, channels], Data::F32(values.clone()))
        }
    };
    let mut message = ModelInferRequest { id: request.id.clone(), ..Default::default() };
    if let Some(top_k) = request.top_k {
        let choice = ParameterChoice::Int64Param(i64::try_from(top_k.get()).unwrap_or(i64::MAX));
        message.parameters.insert("top_k".to_owned(), InferParameter { parameter_choice: Some(choice) });
    }
    set_inputs(&mut message, vec![Tensor { name: name.to_owned(), shape, data }]);
    message
}

/// The same for a model that reads instructions.
pub(super) fn message_with_instruction(request: &Request) -> ModelInferRequest {
    let mut message = message(request);
    let choice = ParameterChoice::StringParam(request.instruction.clone());
    message.parameters.insert(INSTRUCTION.to_owned(), InferParameter { parameter_choice: Some(choice) });
    message
}

/// How often the call was sent before (gRFC A6). Also read from callers: whoever retries itself gets fewer retries here.
pub(crate) const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// `message` as it is, but for the name and the version of the model.
pub(crate) fn addressed(message: &ModelInferRequest, expert: &ExpertName, version: u32) -> ModelInferRequest {
    ModelInferRequest {
        model_name: expert.to_string(),
        model_version: version.to_string(),
        ..message.clone()
    }
}

/// `message` with its metadata: what the client sent for the experts, how often that was tried before, and the trace that
/// this attempt is a part of.
pub(super) fn request(
    message: ModelInferRequest,
    headers: &HeaderMap,
    n_before: u32,
    span: &Span,
) -> tonic::Request<ModelInferRequest> {
    let mut headers = headers.clone();
    // Each hop counts its own.
    headers.remove(PREVIOUS_ATTEMPTS);
    if n_before > 0 {
        headers.insert(PREVIOUS_ATTEMPTS, n_before.into());
    }
    nanogrid_telemetry::propagation::inject(span, &mut headers);
    tonic::Request::from_parts(MetadataMap::from_headers(headers), Extensions::default(), message)
}

/// The time of a call, all its tries together.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    /// For people.
    pub(super) whole: Duration,
    /// When it is over.
    pub(super) deadline: Instant,
}

impl TimeLimit {
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What became of `work`, or that there was no time for it. Not an `async fn`: that would hold `work` twice.
    pub(super) fn within<T>(
        &self,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> impl Future<Output = Result<T, CallError>> {
        let limit = self.whole;
        timeout_at(self.deadline, work)
            .map(move |result| result.unwrap_or_else(|_elapsed| Err(CallError::TimedOut { limit })))
    }
}

/// One try. The expert is told how much time is left.
pub(super) async fn infer(
    channel: Channel,
    mut request: tonic::Request<ModelInferRequest>,
    endpoint: &Arc<str>,
    limit: TimeLimit,
    max_message: usize,
) -> Result<Response<ModelInferResponse>, CallError> {
    request.set_timeout(limit.left());
    let mut client = GrpcInferenceServiceClient::new(channel).max_decoding_message_size(max_message);
    let answered = client.model_infer(request).await;
    answered.map_err(|status| CallError::of(status, endpoint, limit.whole, Instant::now() >= limit.deadline))
}
