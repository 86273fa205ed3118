//! Between the tensors of the task `text-to-text` and the JSON of a chat completion. Nothing in an answer is trusted to be there.

use std::time::Duration;

use bytes::Bytes;
use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse, infer_parameter::ParameterChoice,
        model_infer_request::InferInputTensor,
    },
    tensor::{self, Data, Tensor, set_outputs},
};
use serde::{Deserialize, Serialize};
use tonic::{
    Status,
    metadata::{MetadataMap, MetadataValue},
};

use super::refusal::brief;
use crate::{dispatch::INSTRUCTION, error::NOT_MINE};

/// Which model is asked, and how.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    /// Empty = no system message.
    pub(super) system: String,
    pub(super) max_tokens: usize,
}

/// What the client wants.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    /// Empty = the text speaks for itself.
    instruction: String,
    text: String,
}

#[derive(Serialize)]
struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<ChatMessage<'a>>,
    // The newer `max_completion_tokens` is known to fewer servers.
    max_tokens: usize,
}

#[derive(Serialize)]
struct ChatMessage<'a> {
    role: &'static str,
    content: &'a str,
}

/// What came back.
#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    model: String,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Answer,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    content: Option<String>,
    refusal: Option<String>,
}

/// What is paid for.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: u64,
    #[serde(default)]
    pub(super) completion_tokens: u64,
}

impl Model {
    /// As JSON.
    pub(super) fn request(&self, question: &Question) -> Result<Vec<u8>, Status> {
        let asked = match question.instruction.trim() {
            "" => question.text.clone(),
            instruction => format!("{instruction}\n\n{}", question.text),
        };
        let system = Some(ChatMessage { role: "system", content: &self.system });
        let messages = system
            .filter(|system| !system.content.is_empty())
            .into_iter()
            .chain([ChatMessage { role: "user", content: &asked }])
            .collect();
        let request = ChatRequest { model: &self.name, messages, max_tokens: self.max_tokens };
        serde_json::to_vec(&request).map_err(|error| Status::internal(error.to_string()))
    }
}

/// The one row of the input `text`: each completion is one request there, and is paid for.
pub(super) fn question(message: &ModelInferRequest) -> Result<Question, Status> {
    let one_text =
        || Status::invalid_argument("inputs: must be `text` alone, of datatype BYTES, and one row of it");
    let n_rows = |input: &InferInputTensor| input.shape.iter().copied().fold(1, i64::saturating_mul);
    match &message.inputs[..] {
        [text] if text.name == "text" && text.datatype == "BYTES" && n_rows(text) == 1 => {}
        _ => return Err(one_text()),
    }
    let inputs = tensor::inputs(message.clone())
        .map_err(|error| Status::invalid_argument(format!("inputs: {error}")))?;
    let text = match inputs.into_iter().next().map(|text| text.data) {
        Some(Data::Bytes(mut rows)) => rows.pop().ok_or_else(one_text)?,
        _ => return Err(one_text()),
    };
    let text = String::from_utf8(text.into())
        .map_err(|_| Status::invalid_argument("inputs: `text` must be UTF-8"))?;
    let instruction = match message.parameters.get(INSTRUCTION).map(|parameter| &parameter.parameter_choice) {
        None => String::new(),
        Some(Some(ParameterChoice::StringParam(instruction))) => instruction.clone(),
        Some(_) => return Err(Status::invalid_argument("parameters: `instruction` must be a text")),
    };
    Ok(Question { instruction, text })
}

/// Reads what a server answered with 200.
pub(super) fn completion(body: &[u8]) -> Result<Completion, Status> {
    serde_json::from_slice(body).map_err(|error| {
        Status::internal(format!("its answer is no chat completion: {}", brief(&error.to_string())))
    })
}

impl Completion {
    /// As the server calls it.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Empty where it does not say.
    pub(super) fn finish_reason(&self) -> &str {
        self.choices.first().and_then(|choice| choice.finish_reason.as_deref()).unwrap_or_default()
    }

    /// Absent where it does not say.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The answer to `asked`, which took so long.
    pub(super) fn into_response(
        self,
        asked: ModelInferRequest,
        took: Duration,
    ) -> Result<ModelInferResponse, Status> {
        let text = self.into_text()?;
        let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let inference = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(micros)) };
        let mut response =
            ModelInferResponse { model_name: asked.model_name, id: asked.id, ..Default::default() };
        response.parameters.insert("nanogrid_inference_us".to_owned(), inference);
        // Such servers do not say how likely their tokens were: the logarithm of no confidence at all.
        let tensors =
            [("text", Data::Bytes(vec![Bytes::from(text)])), ("score", Data::F32(vec![f32::NEG_INFINITY]))];
        let tensors = tensors.map(|(name, data)| Tensor { name: name.to_owned(), shape: vec![1], data });
        set_outputs(&mut response, tensors.into());
        Ok(response)
    }

    fn into_text(self) -> Result<String, Status> {
        let choice = self.choices.into_iter().next();
        let Choice { message, finish_reason } =
            choice.ok_or_else(|| Status::internal("its chat completion has no choices"))?;
        if let Some(refusal) = message.refusal.filter(|refusal| !refusal.is_empty()) {
            return Err(not_its(&refusal));
        }
        match message.content.filter(|content| !content.is_empty()) {
            Some(content) => Ok(content),
            None if finish_reason.as_deref() == Some("content_filter") => {
                Err(not_its("its filter took the answer"))
            }
            None => Err(Status::internal("its chat completion has no text")),
        }
    }
}

/// The model looked, and will not answer: an abstention, as an expert's is.
fn not_its(why: &str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(NOT_MINE, MetadataValue::from_static("true"));
    Status::with_metadata(tonic::Code::FailedPrecondition, brief(why), metadata)
}

#[cfg(test)]
mod tests;
