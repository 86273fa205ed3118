//! What surrounds a model: a task turns the tensors of a request into what the model takes, and what the model says
//! into the tensors of an answer. An expert is data, a task is code; adding one means a file in `tasks` and a variant here.

use std::future::Future;

use nanogrid_onnx::{Model, Package, RunError, Times};
use nanogrid_proto::tensor::Tensor;
use nanogrid_settings::{self as settings, InferenceSettings};
use tokio::time::Instant;

use crate::{
    error::Error,
    signature::{Signature, Wanted},
    tasks::{
        image_classification::ImageClassification, tensor::Tensors, text_classification::TextClassification,
        text_to_text::TextToText, token_classification::TokenClassification,
    },
};

/// The three stages of a request, in order.
pub(crate) trait Task {
    /// What the model takes.
    type Prepared: Send;
    /// What the model says.
    type Raw: Send;

    fn signature(&self) -> &Signature;

    /// `inputs` are checked against the signature and in its order.
    fn preprocess(
        &self,
        inputs: Vec<Tensor>,
        wanted: &Wanted,
    ) -> impl Future<Output = Result<Self::Prepared, Error>> + Send;

    /// Dropped = the job is not run, or its run is stopped.
    fn run(
        &self,
        prepared: Self::Prepared,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<(Self::Raw, Times), RunError>> + Send;

    /// Exactly the outputs wanted, in that order.
    fn postprocess(&self, raw: Self::Raw, wanted: &Wanted) -> Result<Vec<Tensor>, Error>;
}

/// A task with a model loaded into it.
pub(crate) enum Loaded {
    /// Boxed: a tokeniser is large.
    TextClassification(Box<TextClassification>),
    TokenClassification(Box<TokenClassification>),
    TextToText(Box<TextToText>),
    ImageClassification(Box<ImageClassification>),
    Tensor(Tensors),
}

impl Loaded {
    /// Puts a model that is loaded and warm into the task of its package.
    pub(crate) fn new(
        package: &Package,
        model: Model,
        limits: &InferenceSettings,
    ) -> Result<Self, LoadError> {
        match package.task {
            settings::Task::TextClassification => {
                let task = TextClassification::load(package, model, limits.max_text_bytes.get())?;
                Ok(Self::TextClassification(Box::new(task)))
            }
            settings::Task::TokenClassification => {
                let task = TokenClassification::load(package, model, limits.max_text_bytes.get())?;
                Ok(Self::TokenClassification(Box::new(task)))
            }
            settings::Task::TextToText => {
                let task = TextToText::load(package, model, limits.max_text_bytes.get())?;
                Ok(Self::TextToText(Box::new(task)))
            }
            settings::Task::ImageClassification => {
                // Opening such a package reads how images are prepared.
                let processor = package.image_processor.ok_or(LoadError::Task(package.task))?;
                let task = ImageClassification::new(package, processor, model, limits);
                Ok(Self::ImageClassification(Box::new(task)))
            }
            settings::Task::Tensor => Ok(Self::Tensor(Tensors::new(package, model))),
            task @ (settings::Task::Embedding
            | settings::Task::SpeechToText
            | settings::Task::TextToSpeech
            | settings::Task::Series) => Err(LoadError::Task(task)),
        }
    }

    pub(crate) fn signature(&self) -> &Signature {
        match self {
            Self::TextClassification(task) => task.signature(),
            Self::TokenClassification(task) => task.signature(),
            Self::TextToText(task) => task.signature(),
            Self::ImageClassification(task) => task.signature(),
            Self::Tensor(task) => task.signature(),
        }
    }
}

/// Why a package cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Package(#[from] nanogrid_onnx::Error),
    #[error(
        "task `{0}` has no code in this version of nanogrid; the task `tensor` serves any model's own tensors"
    )]
    Task(settings::Task),
    #[error("`{name}` version {version} is served from another folder already")]
    Twice { name: String, version: u32 },
}
