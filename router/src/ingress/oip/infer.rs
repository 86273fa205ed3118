//! One inference: choose the expert, pass the request on, pass the answer back.

use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
        infer_parameter::ParameterChoice,
    },
    tensor::{self, Data},
};
use nanogrid_serving::status::metadata;
use nanogrid_telemetry::metrics::{RouterStage, Verdict};
use tokio::time::Instant;
use tonic::{Response, Status};

use super::AUTO;
use crate::{
    Router,
    dispatch::Attempted,
    error::Error,
    ingress::{
        grid::Stages,
        tell,
        wire::{self, Envelope},
    },
    plan::{self, Call},
    request::{Split, VersionChoice},
};

impl Router {
    /// Sends the message to the expert that its model name says, or the classifier.
    pub(super) async fn model_infer(
        &self,
        message: ModelInferRequest,
        envelope: Envelope,
    ) -> Result<Response<ModelInferResponse>, Error> {
        let _in_flight = self.in_flight();
        let mut stages = Stages::new(self);
        let (call, headers, verdict) = if message.model_name == AUTO {
            self.auto(&message, envelope, &mut stages)?
        } else {
            let version = wire::version("model_version", &message.model_version)?.map(VersionChoice::Number);
            let deadline = envelope.deadline(&self.limits, stages.started)?;
            let (split, headers) = envelope.into_parts();
            let split = Split { version: version.or(split.version), ..split };
            let time_left = deadline.saturating_duration_since(Instant::now());
            let call = plan::call(&split, self.catalog.now().expert(&message.model_name)?, time_left)?;
            (call, headers, None)
        };
        let Attempted { result, .. } = self.dispatch.forward(&call, message, &headers).await;
        stages.passed(RouterStage::Dispatch);
        let expert = &call.expert.name;
        let answer =
            result.map_err(|source| Error::Call { expert: expert.clone(), source: Box::new(source) })?;
        let mut response = Response::new(answer.into_inner());
        let told = response.metadata_mut();
        tell(told, metadata::EXPERT, expert.as_str());
        tell(told, metadata::VERSION, &call.version().number.to_string());
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
fn one_text(message: &ModelInferRequest) -> Result<bytes::Bytes, Error> {
    // The elements are slices of the message: what is copied here are names and shapes.
    let inputs =
        tensor::inputs(message.clone()).map_err(|error| Error::invalid("inputs", error.to_string()))?;
    let text = inputs.into_iter().find(|input| input.name == "text");
    let Some(Data::Bytes(rows)) = text.map(|text| text.data) else {
        return Err(Error::invalid(
            "inputs",
            format!("must hold `text` of datatype BYTES for the model `{AUTO}`"),
        ));
    };
    match <[_; 1]>::try_from(rows) {
        Ok([text]) => Ok(text),
        Err(rows) => {
            let reason = format!(
                "must hold one row for the model `{AUTO}`; for several, name the expert: {}",
                rows.len()
            );
            Err(Error::invalid("text", reason))
        }
    }
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
