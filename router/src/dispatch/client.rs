//! The Open Inference Protocol as the router speaks it to an expert.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse,
        grpc_inference_service_client::GrpcInferenceServiceClient, infer_parameter::ParameterChoice,
    },
    tensor::{Data, Tensor, set_inputs},
};
use tokio::time::{Instant, timeout_at};
use tonic::{Extensions, Response, metadata::MetadataMap, transport::Channel};
use tracing::Span;

use crate::{
    error::CallError,
    request::{Payload, Request},
};

/// The method called.
pub(super) const METHOD: &str = "inference.GRPCInferenceService/ModelInfer";

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

/// `message` with its metadata: what the client sent for the experts, and the trace that this call is a part of.
pub(super) fn request(
    message: ModelInferRequest,
    headers: &HeaderMap,
    span: &Span,
) -> tonic::Request<ModelInferRequest> {
    let mut headers = headers.clone();
    nanogrid_telemetry::propagation::inject(span, &mut headers);
    tonic::Request::from_parts(MetadataMap::from_headers(headers), Extensions::default(), message)
}

/// The time of a call, all its tries together.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    whole: Duration,
    deadline: Instant,
}

impl TimeLimit {
    pub(super) fn from_now(whole: Duration) -> Self {
        Self { whole, deadline: Instant::now() + whole }
    }
}

/// One try. The expert is told how much time is left, and is not waited for any longer than that.
pub(super) async fn infer(
    channel: Channel,
    mut request: tonic::Request<ModelInferRequest>,
    endpoint: &Arc<str>,
    TimeLimit { whole, deadline }: TimeLimit,
    max_message: usize,
) -> Result<Response<ModelInferResponse>, CallError> {
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    let mut client = GrpcInferenceServiceClient::new(channel).max_decoding_message_size(max_message);
    match timeout_at(deadline, client.model_infer(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(status)) => Err(CallError::of(status, endpoint, whole, Instant::now() >= deadline)),
        Err(_elapsed) => Err(CallError::TimedOut { limit: whole }),
    }
}
