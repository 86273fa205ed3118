//! What kinds of work an expert can do. A task is code in the expert host; an expert is data.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// The work of an expert: which pre- and postprocessing surrounds its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Text in, labels with scores out.
    TextClassification,
    /// Text in, labelled spans out.
    TokenClassification,
    /// Text in, text out.
    TextToText,
    /// Text in, a vector of unit length out.
    Embedding,
    /// An image in, labels with scores out.
    ImageClassification,
    /// Audio in, text out.
    SpeechToText,
    /// Text in, audio out.
    TextToSpeech,
    /// A time series in; labels or anomaly scores out.
    Series,
    /// The model's own tensors, untouched.
    Tensor,
}

/// A task that this build does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {known}: `{0}`", known = known())]
pub struct UnknownTask(pub String);

impl Task {
    /// Every task.
    pub const ALL: [Self; 9] = [
        Self::TextClassification,
        Self::TokenClassification,
        Self::TextToText,
        Self::Embedding,
        Self::ImageClassification,
        Self::SpeechToText,
        Self::TextToSpeech,
        Self::Series,
        Self::Tensor,
    ];

    /// The name as files and messages have it, e.g. `text-classification`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TextClassification => "text-classification",
            Self::TokenClassification => "token-classification",
            Self::TextToText => "text-to-text",
            Self::Embedding => "embedding",
            Self::ImageClassification => "image-classification",
            Self::SpeechToText => "speech-to-text",
            Self::TextToSpeech => "text-to-speech",
            Self::Series => "series",
            Self::Tensor => "tensor",
        }
    }
}

fn known() -> String {
    Task::ALL.map(|task| format!("`{task}`")).join(", ")
}

impl FromStr for Task {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        Self::ALL.into_iter().find(|task| task.as_str() == name).ok_or_else(|| UnknownTask(name.to_owned()))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
