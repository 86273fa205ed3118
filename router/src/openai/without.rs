//! What stands for the bigger model behind an OpenAI-compatible HTTP API where the feature `openai` is not built in: nothing, so
//! that no expert of this kind can exist.

use std::{convert::Infallible, sync::Arc};

use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_settings::OpenAiSettings;
use tonic::{Response, Status};
use tracing::Span;

/// There is none.
#[derive(Debug)]
pub struct OpenAi(Infallible);

impl OpenAi {
    /// Always refuses: settings that ask for it must not be passed over in silence.
    pub fn new(_settings: &OpenAiSettings) -> Result<Self, String> {
        Err("this router is built without it: build it with `--features openai`, or name an `escalation.expert` behind the Open \
             Inference Protocol"
            .to_owned())
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        match self.0 {}
    }

    pub(crate) fn title(&self) -> String {
        match self.0 {}
    }

    pub(crate) fn span(&self, _number: u32, _kind: &'static str) -> Span {
        match self.0 {}
    }

    pub(crate) async fn infer(
        &self,
        _message: ModelInferRequest,
        _span: &Span,
    ) -> Result<Response<ModelInferResponse>, Status> {
        match self.0 {}
    }
}
