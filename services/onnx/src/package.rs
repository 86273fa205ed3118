//! A package on disk.
use std::{num::NonZeroUsize, path::{Path, PathBuf}, sync::Arc};
use nanogrid_settings::{ExpertName, Task, VersionManifest, package::{Activation, OutOfScope}};
use crate::Error;

/// One version of an expert, every file of it checked. The model is not loaded yet.
#[derive(Debug, Clone)]
pub struct Package {
    /// The version's folder.
    pub folder: PathBuf,
    /// Name of the expert; without an `expert.toml` it is made from the folder's name.
    pub name: ExpertName,
    /// Its version; 1 where nothing says otherwise.
    pub version: u32,
    /// Which pre- and postprocessing surrounds the model.
    pub task: Task,
    /// One line for tables.
    pub title: String,
    /// Two sentences.
    pub description: String,
    /// `version.toml`, where there is one.
    pub manifest: Option<VersionManifest>,
    /// Labels by index of the logits; empty for tasks without labels.
    pub labels: Arc<[String]>,
    /// Texts are cut to this many tokens.
    pub max_tokens: NonZeroUsize,
    /// Padded tokens of one run, where the expert has its own limit.
    pub max_batch_tokens: Option<NonZeroUsize>,
    /// Logits are divided by this.
    pub temperature: f32,
    /// How logits become scores.
    pub activation: Activation,
    /// When to say that no label fits.
    pub out_of_scope: Option<OutOfScope>,
    /// sha256 of `model.onnx`, in hex.
    pub model_sha256: String,
    /// sha256 of the labels, one a line, in hex: two versions with the same digest can stand in for each other.
    pub labels_sha256: String,
}
impl Package {
    /// Opens.
    pub fn open(_folder: &Path) -> Result<Self, Error> { unimplemented!() }
}
