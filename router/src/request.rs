//! What a client asks, after every check: from here on nothing in a request can be wrong, only unanswerable.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use http::HeaderMap;
use nanogrid_resilience::Criticality;
use nanogrid_settings::{Task, VersionLabel};
use tokio::time::Instant;

/// One request to the grid.
#[derive(Clone, Debug)]
pub struct Request {
    /// Chosen by the client, returned in the reply.
    pub id: String,
    /// What the experts look at.
    pub payload: Payload,
    /// What to do with it, in words; empty = the payload speaks for itself.
    pub instruction: String,
    /// The experts the client named; empty = the router decides.
    pub experts: Vec<String>,
    /// How many experts are asked at most; absent = the grid's default.
    pub max_experts: Option<NonZeroUsize>,
    /// From which confidence an expert is asked; absent = as calibrated.
    pub min_confidence: Option<f32>,
    /// Labels per answer; absent = one.
    pub top_k: Option<NonZeroUsize>,
    /// What becomes of several answers.
    pub merge: MergePolicy,
    /// Which version of each expert it sees.
    pub split: Split,
    /// Who is shed first.
    pub criticality: Criticality,
    /// Nothing is answered after this.
    pub deadline: Instant,
    /// `x-nanogrid-*` headers that go on to the experts.
    pub forwarded: HeaderMap,
}

/// What the experts look at.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Not blank.
    Text(String),
    /// A PNG or JPEG file.
    Image(bytes::Bytes),
    /// A WAV file.
    Audio(bytes::Bytes),
    /// `values` holds `channels` interleaved, and divides by it.
    Series {
        /// Never empty.
        values: Vec<f32>,
        /// At least one.
        channels: NonZeroUsize,
    },
}

/// The kind of a payload decides which tasks can take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Text,
    Image,
    Audio,
    Series,
}

impl Payload {
    /// Which kind this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Image(_) => Kind::Image,
            Self::Audio(_) => Kind::Audio,
            Self::Series { .. } => Kind::Series,
        }
    }
}

impl Kind {
    /// What an expert of `task` takes; `None` for tasks that speak in tensors only.
    pub fn of(task: Task) -> Option<Self> {
        match task {
            Task::TextClassification
            | Task::TokenClassification
            | Task::TextToText
            | Task::Embedding
            | Task::TextToSpeech => Some(Self::Text),
            Task::ImageClassification => Some(Self::Image),
            Task::SpeechToText => Some(Self::Audio),
            Task::Series => Some(Self::Series),
            Task::Tensor => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Image => "images",
            Self::Audio => "audio",
            Self::Series => "series",
        })
    }
}

/// What becomes of several answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergePolicy {
    /// Every answer is kept.
    #[default]
    All,
    /// Every expert is waited for, the most confident answer is kept.
    Best,
    /// The first answer ends the others.
    First,
}

/// Which version of an expert a request sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The client insists on it.
    pub version: Option<VersionChoice>,
    /// Otherwise equal keys see equal versions.
    pub key: SplitKey,
}

/// Decides the version during a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitKey {
    /// Given by the client: the same version every time.
    Sticky(String),
    /// Drawn for this request.
    Random(u64),
}

/// `x-nanogrid-version`: a number, or a label of the grid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionChoice {
    /// e.g. `2`
    Number(u32),
    /// Whichever version has this label.
    Label(VersionLabel),
}

impl FromStr for VersionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stable" => Ok(Self::Label(VersionLabel::Stable)),
            "canary" => Ok(Self::Label(VersionLabel::Canary)),
            // `parse` alone would take `+2` and `02` as well.
            _ => match text.parse() {
                Ok(number) if number > 0 && !text.starts_with(['+', '0']) => Ok(Self::Number(number)),
                _ => Err(format!("must be a positive integer, `stable` or `canary`: `{text}`")),
            },
        }
    }
}

impl fmt::Display for VersionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Label(label) => label.fmt(f),
        }
    }
}
