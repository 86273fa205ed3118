//! How a text is generated: what is used of a Hugging Face `generation_config.json`. The rest of it is other people's, and
//! much of it is about sampling, which an expert never does: unknown keys are fine here.

use serde_json::Value;

use super::hugging_face::Keys;
use crate::Problems;

/// How many hypotheses a beam search follows, 1 to 8; 1 = greedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumBeams(u8);

/// Not 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to {most}: {0}", most = NumBeams::MOST)]
pub struct InvalidNumBeams(u64);

/// What nanogrid reads of a Hugging Face `generation_config.json`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GenerationConfig {
    /// `decoder_start_token_id`: what the decoder sees first.
    pub start_token: u32,
    /// `eos_token_id`: what ends a text.
    pub end_token: u32,
    /// `pad_token_id`: what fills a row up. Never generated.
    pub pad_token: u32,
    /// `max_length`: tokens of a text, the start token among them; at least 2.
    pub max_length: usize,
    /// `num_beams`; 1 where it is left out.
    pub num_beams: NumBeams,
    /// `length_penalty`: what the length of a finished hypothesis is raised to before its log-probability is divided by it;
    /// finite, 1 where it is left out. Above 0, longer texts gain.
    pub length_penalty: f32,
    /// `early_stopping`: whether a beam search ends with as many finished hypotheses as it has beams, even if another could
    /// still be better; false where it is left out.
    pub early_stopping: bool,
}

impl NumBeams {
    const MOST: u8 = 8;
    /// One hypothesis.
    pub const GREEDY: Self = Self(1);

    /// From 1 to 8.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl TryFrom<u64> for NumBeams {
    type Error = InvalidNumBeams;

    fn try_from(n: u64) -> Result<Self, InvalidNumBeams> {
        match u8::try_from(n) {
            Ok(n @ 1..=Self::MOST) => Ok(Self(n)),
            Ok(_) | Err(_) => Err(InvalidNumBeams(n)),
        }
    }
}

pub(super) fn config(source: &str, text: &str) -> Result<GenerationConfig, Problems> {
    let mut file = Keys::read(source, text)?;
    let token = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let start_token = file.required("decoder_start_token_id", "the number of a token", token);
    let end_token = file.required("eos_token_id", "the number of one token", token);
    let pad_token = file.required("pad_token_id", "the number of a token", token);
    let max_length = file.required("max_length", "a number of tokens, at least 2", |value| {
        value.as_u64().and_then(|length| usize::try_from(length).ok()).filter(|length| *length >= 2)
    });
    let num_beams = file.optional("num_beams", "a number from 1 to 8", |value| {
        value.as_u64().and_then(|n| NumBeams::try_from(n).ok())
    });
    let length_penalty = file.optional("length_penalty", "a finite number", |value| {
        value.as_f64().map(|penalty| penalty as f32).filter(|penalty| penalty.is_finite())
    });
    let early_stopping = file.optional("early_stopping", "true or false", Value::as_bool);
    match (start_token, end_token, pad_token, max_length) {
        (Some(start_token), Some(end_token), Some(pad_token), Some(max_length))
            if file.problems.is_empty() =>
        {
            Ok(GenerationConfig {
                start_token,
                end_token,
                pad_token,
                max_length,
                num_beams: num_beams.unwrap_or(NumBeams::GREEDY),
                length_penalty: length_penalty.unwrap_or(1.0),
                early_stopping: early_stopping.unwrap_or_default(),
            })
        }
        _ => Err(Problems(file.problems)),
    }
}
