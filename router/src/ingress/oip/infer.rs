//! One inference: choose the expert, pass the request on, pass the answer back.

use bytes::Bytes;
use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
        infer_parameter::ParameterChoice, model_infer_request::InferInputTensor,
    },
    tensor::{self, Data, Side, TensorError},
};
use nanogrid_serving::status::metadata;
use nanogrid_telemetry::metrics::{RouterStage, Verdict};
use prost::Message;
use tokio::time::Instant;
use tonic::{Response, Status};

use super::AUTO;
use crate::{
    Router,
    dispatch::{Attempted, Stand},
    error::Error,
    ingress::{
        grid::Stages,
        tell,
        wire::{self, Envelope},
    },
    plan::{self, Call, Time},
    request::{Split, VersionChoice},
};

impl Router {
    /// Sends the message to the expert that its model name says, or the classifier.
    pub(super) async fn model_infer(
        &self,
        message: ModelInferRequest,
        envelope: Envelope,
    ) -> Result<Response<ModelInferResponse>, Error> {
        let _admitted = self.admit(envelope.criticality(), message.encoded_len())?;
        let mut stages = Stages::new(self);
        let (call, headers, verdict) = if message.model_name == AUTO {
            self.auto(&message, envelope, &mut stages)?
        } else {
            let version = wire::version("model_version", &message.model_version)?.map(VersionChoice::Number);
            let deadline = envelope.deadline(&self.limits, stages.started)?;
            let (split, headers) = envelope.into_parts();
            let split = Split { version: version.or(split.version), ..split };
            let time = Time { now: Instant::now(), deadline };
            let call = plan::call(&split, &message.model_name, &self.catalog.now(), time)?;
            (call, headers, None)
        };
        let Attempted { result, trail } = self.dispatch.forward(&call, &message, &headers).await;
        stages.passed(RouterStage::Dispatch);
        if verdict == Some(Verdict::Escalate) {
            self.escalated(&call.expert, result.as_ref().err());
        }
        let expert = &call.expert.name;
        let answer =
            result.map_err(|source| Error::Call { expert: expert.clone(), source: Box::new(source) })?;
        let mut response = Response::new(answer.into_inner());
        let told = response.metadata_mut();
        // Who answered, which is not always who was asked.
        match trail.fallback.map(|stood_in| stood_in.by) {
            Some(Stand::Expert(other)) => tell(told, metadata::EXPERT, &other),
            Some(Stand::Version(_) | Stand::Label(_)) | None => tell(told, metadata::EXPERT, expert.as_str()),
        }
        if let Some(version) = trail.version {
            tell(told, metadata::VERSION, &version.to_string());
        }
        if let Some(verdict) = verdict {
            tell(told, metadata::DECISION, verdict.as_str());
        }
        Ok(response)
    }

    /// The most confident expert for the one text in the message.
    fn auto(
        &self,
        message: &ModelInferRequest,
        envelope: Envelope,
        stages: &mut Stages<'_>,
    ) -> Result<(Call, http::HeaderMap, Option<Verdict>), Error> {
        if !message.model_version.is_empty() {
            let reason = format!("must be empty for `{AUTO}`, whose experts have versions of their own");
            return Err(Error::invalid("model_version", reason));
        }
        let request = wire::text(one_text(message)?, envelope, &self.limits, stages.started)?;
        let plan = self.decide(&request, stages)?;
        let verdict = plan.decision.verdict;
        match plan.calls.into_iter().next() {
            Some(call) => Ok((call, request.forwarded, Some(verdict))),
            None => {
                Err(Error::Undecided { why: plan.decision.why, unavailable: verdict == Verdict::Unavailable })
            }
        }
    }
}

/// The one row of the input `text`: a decision is about one text, and the message goes to one expert whole.
///
/// An empty element takes four bytes in a message and eight times as much in memory. So nothing is decoded here but an
/// input that says it is one row, and decoding stops behind it.
fn one_text(message: &ModelInferRequest) -> Result<Bytes, Error> {
    let ModelInferRequest { inputs, raw_input_contents: raw, .. } = message;
    let no_text =
        || Error::invalid("inputs", format!("must hold `text` of datatype BYTES for the model `{AUTO}`"));
    let is_text = |input: &InferInputTensor| input.name == "text" && input.datatype == "BYTES";
    let idx = inputs.iter().position(is_text).ok_or_else(no_text)?;
    let n_rows = n_rows(&inputs[idx]);
    if n_rows != 1 {
        let reason =
            format!("must hold one row for the model `{AUTO}`; for several, name the expert: {n_rows}");
        return Err(Error::invalid("text", reason));
    }
    let wrong = |error: TensorError| Error::invalid("inputs", error.to_string());
    if !raw.is_empty() && raw.len() != inputs.len() {
        let (entries, tensors) = (raw.len(), inputs.len());
        return Err(wrong(TensorError::RawEntries { side: Side::Input, entries, tensors }));
    }
    let only = ModelInferRequest {
        model_name: message.model_name.clone(),
        inputs: vec![inputs[idx].clone()],
        raw_input_contents: raw.get(idx).cloned().into_iter().collect(),
        ..Default::default()
    };
    match tensor::inputs(only).map_err(wrong)?.pop().map(|text| text.data) {
        Some(Data::Bytes(rows)) => rows.into_iter().next().ok_or_else(no_text),
        _ => Err(no_text()),
    }
}

/// What the shape says, or what is there already where that is more.
fn n_rows(input: &InferInputTensor) -> i64 {
    let claimed = input.shape.iter().copied().fold(1, i64::saturating_mul);
    let typed = input.contents.as_ref().map_or(0, |contents| contents.bytes_contents.len());
    claimed.max(i64::try_from(typed).unwrap_or(i64::MAX))
}

/// One answer on a stream, and the last one to its request.
pub(super) fn streamed(mut answer: ModelInferResponse) -> ModelStreamInferResponse {
    is_final(&mut answer);
    ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) }
}

/// An error on a stream that stays open; the id says to which request.
pub(super) fn streamed_error(id: String, status: &Status) -> ModelStreamInferResponse {
    let mut answer = ModelInferResponse { id, ..Default::default() };
    is_final(&mut answer);
    ModelStreamInferResponse { error_message: status.message().to_owned(), infer_response: Some(answer) }
}

fn is_final(answer: &mut ModelInferResponse) {
    let parameter = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
    answer.parameters.insert("triton_final_response".to_owned(), parameter);
}
