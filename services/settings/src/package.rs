//! Manifests of an expert package: `expert.toml`, `version.toml`, the labels in `config.json`, how texts are generated in
//! `generation_config.json`, and how images are prepared in `preprocessor_config.json`.

mod check;
mod generation;
mod hugging_face;
mod image_processor;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, io, num::NonZeroUsize, path::Path};

pub use self::{
    generation::{GenerationConfig, InvalidNumBeams, NumBeams},
    image_processor::{Extent, ImageProcessorConfig, Resample, Resize, ResizeTo},
};
use crate::{
    Error, ExpertName, Task,
    document::{self, Table},
};

/// `expert.toml`: what the expert is, whatever its version.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertManifest {
    /// Its name on every wire.
    pub name: ExpertName,
    /// Which pre- and postprocessing surrounds the model.
    pub task: Task,
    /// One line for tables.
    pub title: String,
    /// Two sentences.
    pub description: String,
    /// The version folder that is served unless another one is asked for; at least 1.
    pub default_version: u32,
    /// `[limits]`
    pub limits: Limits,
}

/// `[limits]`: serving defaults of one expert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Padded tokens (rows times the longest row) in one run of the model.
    pub max_batch_tokens: Option<NonZeroUsize>,
    /// Pixels, as the model takes them, of all images in one run of the model.
    pub max_batch_pixels: Option<NonZeroUsize>,
}

/// `version.toml`: one version, its files, its interface and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionManifest {
    /// At least 1; the name of the folder.
    pub version: u32,
    /// The day it was made, e.g. `2026-11-23`.
    pub created: String,
    /// Of the weights.
    pub licence: String,
    /// One line.
    pub architecture: String,
    /// Inputs are cut to this many tokens, special tokens included; [`DEFAULT_MAX_TOKENS`] when absent.
    pub max_tokens: NonZeroUsize,
    /// Logits are divided by it; above 0, 1 when absent.
    pub temperature: f32,
    /// How logits become scores; softmax when absent.
    pub activation: Activation,
    /// When to say that no label fits.
    pub out_of_scope: Option<OutOfScope>,
    /// `[formats]`: only for experts that find spans.
    pub formats: Formats,
    /// sha256 in hex (64 lower-case digits) by file name; names have no separators. Never empty.
    pub files: BTreeMap<String, String>,
    /// The graph's inputs, exactly; at least one.
    pub inputs: Vec<TensorSpec>,
    /// The graph's outputs, exactly; at least one.
    pub outputs: Vec<TensorSpec>,
    /// `[size]`
    pub size: Size,
    /// `[[cost]]`, by the size of the row; may be empty.
    pub cost: Vec<Cost>,
    /// `[[training-data]]`; may be empty.
    pub training_data: Vec<TrainingData>,
    /// `[[accuracy]]`; may be empty.
    pub accuracy: Vec<Accuracy>,
    /// `[classifier]`: only in the router's own package.
    pub classifier: Option<ClassifierManifest>,
}

/// What `max-tokens` is when nothing is said: what most small text encoders were trained with.
pub const DEFAULT_MAX_TOKENS: NonZeroUsize = NonZeroUsize::new(512).expect("not 0");

/// How logits become scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// One label is right.
    #[default]
    Softmax,
    /// Each label is right or wrong by itself.
    Sigmoid,
}

/// The rule by which no label fits.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfScope {
    /// The answer then.
    pub label: String,
    /// It is given when the best score is below this, 0 to 1.
    pub threshold: f32,
}

/// What is told by its format alone: found in any text, whatever the model says of it. Each kind has the name of the entity
/// that it is then; `None` = not looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// Payment cards, by Luhn's formula and the ranges of their issuers.
    pub card_number: Option<String>,
    /// Bank accounts, by ISO 7064 and the lengths of their countries.
    pub iban: Option<String>,
    /// Of IP version 4.
    pub ip_address: Option<String>,
    /// `name@host.domain`
    pub email_address: Option<String>,
}

/// One input or output of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the graph.
    pub name: String,
    /// As the Open Inference Protocol has it, e.g. `INT64`.
    pub datatype: String,
    /// -1 = any size.
    pub shape: Vec<i64>,
}

/// `[size]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Of the model and the tokeniser.
    pub bytes: u64,
    /// Weights.
    pub parameters: u64,
}

/// One `[[cost]]`: measured on one core.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Which rows.
    pub row: RowSize,
    /// Hypotheses that were followed, where the answer is a text.
    pub beams: Option<u32>,
    /// Microseconds of CPU per row.
    pub cpu_us: f64,
    /// The machine it was measured on, in words.
    pub machine: Option<String>,
}

/// How large a row is, in what its model pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSize {
    /// Length of a text.
    Tokens(u32),
    /// Of an image, as the model takes it.
    Pixels(u32),
}

/// One `[[training-data]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingData {
    /// Name of the set.
    pub name: String,
    /// Of the set.
    pub licence: String,
    /// Rows used.
    pub rows: u64,
    /// Where it is from.
    pub source: String,
}

/// One `[[accuracy]]`: a measured value and its 95 % confidence interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The set, e.g. `clinc150/dev`.
    pub data: String,
    /// e.g. `accuracy`, `macro-f1`
    pub metric: String,
    /// What was measured.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rows.
    pub n: u64,
}

/// `[classifier]`: what the scores of the router's model were found to be worth.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierManifest {
    /// The label that means "no expert here".
    pub none_label: String,
    /// Of the labels that it was calibrated with, one a line.
    pub labels_sha256: String,
    /// Of all that it was trained and calibrated on.
    pub data_sha256: String,
    /// By `alpha`, each of which occurs once; never empty.
    pub promises: Vec<Promise>,
}

/// One `[[classifier.promise]]`: by these two scores, at most a share `alpha` of the requests that are for an expert miss it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    /// Between 0 and 1.
    pub alpha: f32,
    /// An expert is asked when its score reaches this share of the best expert's, 0 to 1.
    pub threshold: f32,
    /// Nobody is asked when the score of the none label, times what the best expert's score lacks to 1, is above this, 0 to 1.
    pub out_of_scope: f32,
}

/// What nanogrid reads of a Hugging Face `config.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HfConfig {
    /// `id2label`, in order of the ids; empty where there is none. No label twice.
    pub labels: Vec<String>,
    /// `text_id2label`, likewise: of a token classifier that has a second head, for the whole text.
    pub text_labels: Vec<String>,
    /// What the model is for, where `architectures` says it, or the labels are those of words: `O`, `B-...`, `I-...`.
    pub task: Option<Task>,
    /// Sigmoid where `problem_type` says `multi_label_classification`.
    pub activation: Activation,
    /// `max_position_embeddings`
    pub max_tokens: Option<NonZeroUsize>,
}

impl ExpertManifest {
    /// Reads and checks `expert.toml` in `folder`; `None` when there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        toml(&folder.join("expert.toml"), check::expert)
    }
}

impl VersionManifest {
    /// Reads and checks `version.toml` in `folder`; `None` when there is none: a folder from the Hugging Face ecosystem.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        toml(&folder.join("version.toml"), check::version)
    }
}

impl HfConfig {
    /// Reads and checks `config.json` in `folder`; `None` when there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join("config.json");
        Ok(match text(&path)? {
            Some(text) => Some(hugging_face::config(&path.display().to_string(), &text)?),
            None => None,
        })
    }
}

impl GenerationConfig {
    /// Reads and checks `generation_config.json` in `folder`.
    ///
    /// # Errors
    /// Also when there is none: only the model's maker knows its tokens.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("generation_config.json");
        let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        Ok(generation::config(&path.display().to_string(), &text)?)
    }
}

impl ImageProcessorConfig {
    /// Reads and checks `preprocessor_config.json` in `folder`.
    ///
    /// # Errors
    /// Also when there is none, or it asks for what is not done here: an image that is prepared otherwise than in training
    /// gets a wrong answer.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("preprocessor_config.json");
        let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        Ok(image_processor::config(&path.display().to_string(), &text)?)
    }
}

fn toml<T>(path: &Path, check: impl FnOnce(&Table<'_>) -> Option<T>) -> Result<Option<T>, Error> {
    Ok(match text(path)? {
        Some(text) => Some(document::read(&path.display().to_string(), &text, check)?),
        None => None,
    })
}

fn text(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}
