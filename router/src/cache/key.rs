//! What makes two calls equal: the model that is asked, and everything in the message that an answer can depend on. The id
//! is not a part of it, and neither is the form in which the tensors were sent.

use std::collections::HashMap;

use nanogrid_proto::{
    inference::{InferParameter, ModelInferRequest, infer_parameter::ParameterChoice},
    tensor,
};
use sha2::{Digest, Sha256};

use crate::catalog::Version;

/// Equal for equal calls. A digest, as clients choose the inputs: nobody can make one that is answered with another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// The calls of a sequence depend on those before them.
const SEQUENCE: &str = "sequence_id";

impl Key {
    /// `None` when the answer to this call must not be kept, or the message is wrong, which the expert tells best.
    pub(super) fn of(version: &Version, message: &ModelInferRequest) -> Option<Self> {
        if message.parameters.contains_key(SEQUENCE) {
            return None;
        }
        let mut digest = Fields(Sha256::new());
        digest.number(version.number.into());
        digest.text(&model_sha256(version)?);
        digest.parameters(&message.parameters);
        inputs(&mut digest, message)?;
        digest.number(message.outputs.len() as u64);
        for output in &message.outputs {
            digest.text(&output.name);
            digest.parameters(&output.parameters);
        }
        Some(Self(digest.0.finalize().into()))
    }
}

/// The model that answers now; empty when no endpoint tells. `None` while the endpoints differ: someone is just
/// replacing it.
fn model_sha256(version: &Version) -> Option<String> {
    let is_any_ready = version.is_ready();
    let asked = version.endpoints.iter().filter(|endpoint| endpoint.is_ready() || !is_any_ready);
    let mut told = asked.map(|endpoint| endpoint.facts().model_sha256.clone());
    let first = told.next().unwrap_or_default();
    told.all(|other| other == first).then_some(first)
}

fn inputs(digest: &mut Fields, message: &ModelInferRequest) -> Option<()> {
    let typed;
    let raw = if message.raw_input_contents.is_empty() {
        let mut as_raw = ModelInferRequest::default();
        tensor::set_inputs(&mut as_raw, tensor::inputs(message.clone()).ok()?);
        typed = as_raw.raw_input_contents;
        &typed
    } else {
        &message.raw_input_contents
    };
    if raw.len() != message.inputs.len() {
        return None;
    }
    let mut inputs: Vec<_> = message.inputs.iter().zip(raw).collect();
    inputs.sort_unstable_by(|(left, _), (right, _)| left.name.cmp(&right.name));
    digest.number(inputs.len() as u64);
    for (input, elements) in inputs {
        digest.text(&input.name);
        digest.text(&input.datatype);
        digest.number(input.shape.len() as u64);
        for size in &input.shape {
            digest.number(*size as u64);
        }
        digest.parameters(&input.parameters);
        digest.bytes(elements);
    }
    Some(())
}

/// Each field with its length, so that no two messages run together into the same bytes.
struct Fields(Sha256);

impl Fields {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// All of them: whose server the expert is, and what it makes of a parameter, the router does not know.
    fn parameters(&mut self, parameters: &HashMap<String, InferParameter>) {
        let mut sorted: Vec<_> = parameters.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        self.number(sorted.len() as u64);
        for (name, parameter) in sorted {
            self.text(name);
            match &parameter.parameter_choice {
                None => self.number(0),
                Some(ParameterChoice::BoolParam(value)) => self.choice(1, &[u8::from(*value)]),
                Some(ParameterChoice::Int64Param(value)) => self.choice(2, &value.to_le_bytes()),
                Some(ParameterChoice::StringParam(value)) => self.choice(3, value.as_bytes()),
                Some(ParameterChoice::DoubleParam(value)) => self.choice(4, &value.to_le_bytes()),
                Some(ParameterChoice::Uint64Param(value)) => self.choice(5, &value.to_le_bytes()),
            }
        }
    }

    fn choice(&mut self, kind: u64, value: &[u8]) {
        self.number(kind);
        self.bytes(value);
    }
}
