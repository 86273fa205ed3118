//! A package on disk: found, read, and every file of it checked before anything is loaded, so that what is served is
//! what was measured. Three kinds of folder are accepted: an expert with its versions, one version, and an export
//! from the Hugging Face ecosystem, which has no manifest and is taken as it is.

mod files;

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use nanogrid_settings::{
    ExpertManifest, ExpertName, HfConfig, ImageProcessorConfig, Task, VersionManifest,
    package::{Activation, Formats, GenerationConfig, OutOfScope},
};

use crate::{Error, text};

pub(crate) const MODEL: &str = "model.onnx";
/// The two graphs of a model that writes text, by the names that Hugging Face's exports have.
pub(crate) const ENCODER: &str = "encoder_model.onnx";
pub(crate) const DECODER: &str = "decoder_with_past_model.onnx";
/// A third one, of exports whose encoder leaves a part of its work to the decoder's first step.
pub(crate) const FIRST_DECODER: &str = "decoder_model.onnx";
const GENERATION: &str = "generation_config.json";
const CONFIG: &str = "config.json";
const IMAGE_PROCESSOR: &str = "preprocessor_config.json";
/// The longest text of most encoders, for an export that does not say.
const DEFAULT_MAX_TOKENS: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");

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
    /// Labels of the whole text, by index of the `text_logits`: of a token classifier with a second head.
    pub text_labels: Arc<[String]>,
    /// What is found by its format alone.
    pub formats: Formats,
    /// Texts are cut to this many tokens.
    pub max_tokens: NonZeroUsize,
    /// Padded tokens of one run, where the expert has its own limit.
    pub max_batch_tokens: Option<NonZeroUsize>,
    /// Pixels of one run, where the expert has its own limit.
    pub max_batch_pixels: Option<NonZeroUsize>,
    /// How images are prepared; only of a package for images.
    pub image_processor: Option<ImageProcessorConfig>,
    /// How texts are generated; only of a package that answers with some.
    pub generation: Option<GenerationConfig>,
    /// Logits are divided by this.
    pub temperature: f32,
    /// How logits become scores.
    pub activation: Activation,
    /// When to say that no label fits.
    pub out_of_scope: Option<OutOfScope>,
    /// sha256 of `model.onnx`, in hex; of a model in several graphs, that of their digests, one a line.
    pub model_sha256: String,
    /// sha256 of the labels, one a line, in hex: versions with the same digest can stand in for each other.
    pub labels_sha256: String,
}

impl Package {
    /// Opens an expert's folder (its default version), a version's folder, or a Hugging Face style folder.
    ///
    /// # Errors
    /// When a manifest is wrong, or a file is missing, unnamed, or not the one that was named.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let folder = folder
            .canonicalize()
            .map_err(|error| Error::file(folder, format!("there is no such package folder ({error})")))?;
        let (folder, expert) = version_folder(folder)?;
        let manifest = VersionManifest::read(&folder)?;
        let config = HfConfig::read(&folder)?;
        let version = version(&folder, manifest.as_ref())?;
        let guessed = guess(&folder, config.as_ref());
        let task = expert.as_ref().map_or(guessed, |expert| expert.task);
        let model_sha256 = match &manifest {
            Some(manifest) => files::check(&folder, &manifest.files, needed(task))?,
            None => files::exist(&folder, needed(task))?,
        };
        let labels: Arc<[String]> =
            config.as_ref().map(|config| config.labels.clone()).unwrap_or_default().into();
        let text_labels: Arc<[String]> =
            config.as_ref().map(|config| config.text_labels.clone()).unwrap_or_default().into();
        check_labels(&folder, task, &labels, manifest.as_ref())?;
        let labels_sha256 = files::digest_of(labels.join("\n").as_bytes());
        check_calibration(&folder, &labels_sha256, manifest.as_ref())?;
        let image_processor =
            (task == Task::ImageClassification).then(|| ImageProcessorConfig::read(&folder)).transpose()?;
        let generation = (task == Task::TextToText).then(|| GenerationConfig::read(&folder)).transpose()?;
        let of_config = config.as_ref().map_or(Activation::Softmax, |config| config.activation);
        Ok(Self {
            name: match &expert {
                Some(expert) => expert.name.clone(),
                None => name_from(&folder)?,
            },
            version,
            task,
            max_tokens: match &manifest {
                Some(manifest) => manifest.max_tokens,
                None => files::max_tokens(&folder, config.as_ref())?.unwrap_or(DEFAULT_MAX_TOKENS),
            },
            max_batch_tokens: expert.as_ref().and_then(|expert| expert.limits.max_batch_tokens),
            max_batch_pixels: expert.as_ref().and_then(|expert| expert.limits.max_batch_pixels),
            image_processor,
            generation,
            temperature: manifest.as_ref().map_or(1.0, |manifest| manifest.temperature),
            activation: manifest.as_ref().map_or(of_config, |manifest| manifest.activation),
            out_of_scope: manifest.as_ref().and_then(|manifest| manifest.out_of_scope.clone()),
            title: expert.as_ref().map(|expert| expert.title.clone()).unwrap_or_default(),
            description: expert.map(|expert| expert.description).unwrap_or_default(),
            labels_sha256: files::digest_of([&labels[..], &text_labels[..]].concat().join("\n").as_bytes()),
            formats: manifest.as_ref().map(|manifest| manifest.formats.clone()).unwrap_or_default(),
            manifest,
            labels,
            text_labels,
            model_sha256,
            folder,
        })
    }

    /// The graph that a request comes to first.
    pub(crate) fn model(&self) -> PathBuf {
        self.folder.join(if self.task == Task::TextToText { ENCODER } else { MODEL })
    }
}

/// The version's folder inside an expert's, or the folder itself; with the expert's manifest if there is one.
fn version_folder(folder: PathBuf) -> Result<(PathBuf, Option<ExpertManifest>), Error> {
    if let Some(expert) = ExpertManifest::read(&folder)? {
        let version = folder.join(expert.default_version.to_string());
        if version.is_dir() {
            return Ok((version, Some(expert)));
        }
        return Err(Error::file(
            folder.join("expert.toml"),
            format!(
                "default-version: there is no folder `{}` beside it, only {}; name one of them, or add the version",
                expert.default_version,
                files::versions(&folder)
            ),
        ));
    }
    let expert = match (version_of(&folder), folder.parent()) {
        (Some(_), Some(parent)) => ExpertManifest::read(parent)?,
        (None, _) | (_, None) => None,
    };
    Ok((folder, expert))
}

/// The task of an export, which has no manifest.
fn guess(folder: &Path, config: Option<&HfConfig>) -> Task {
    if folder.join(ENCODER).is_file() {
        return Task::TextToText;
    }
    config.and_then(|config| config.task).unwrap_or(Task::TextClassification)
}

/// The files without which a task cannot be done.
fn needed(task: Task) -> &'static [&'static str] {
    match task {
        Task::TextClassification | Task::TokenClassification => &[MODEL, text::FILE, CONFIG],
        Task::TextToText => &[ENCODER, DECODER, text::FILE, GENERATION],
        Task::Embedding | Task::TextToSpeech => &[MODEL, text::FILE],
        Task::ImageClassification => &[MODEL, IMAGE_PROCESSOR, CONFIG],
        Task::SpeechToText | Task::Series | Task::Tensor => &[MODEL],
    }
}

fn version(folder: &Path, manifest: Option<&VersionManifest>) -> Result<u32, Error> {
    match (version_of(folder), manifest) {
        (Some(named), Some(manifest)) if named != manifest.version => Err(Error::file(
            folder.join("version.toml"),
            format!(
                "version: expected {named}, the folder's name, found {}; correct one of them",
                manifest.version
            ),
        )),
        (_, Some(manifest)) => Ok(manifest.version),
        (named, None) => Ok(named.unwrap_or(1)),
    }
}

/// The version that a folder's name says: a positive integer, in its one canonical form.
fn version_of(folder: &Path) -> Option<u32> {
    let name = folder.file_name()?.to_str()?;
    name.parse().ok().filter(|version: &u32| *version > 0 && version.to_string() == name)
}

fn name_from(folder: &Path) -> Result<ExpertName, Error> {
    let named = if version_of(folder).is_some() { folder.parent().unwrap_or(folder) } else { folder };
    let raw = named.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let words: Vec<_> =
        raw.split(|byte: char| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("-").parse().map_err(|error| {
        Error::file(
            named,
            format!("its name, made into an expert's, {error}; rename the folder, or add an expert.toml"),
        )
    })
}

/// Labels and the manifest's logits must agree; without a manifest the graph is asked when it is loaded.
fn check_labels(
    folder: &Path,
    task: Task,
    labels: &[String],
    manifest: Option<&VersionManifest>,
) -> Result<(), Error> {
    let labelled = needed(task).contains(&CONFIG);
    if labelled && labels.is_empty() {
        let problem =
            format!("has no labels, which {task} needs; add `\"id2label\": {{\"0\": \"...\", ...}}`");
        return Err(Error::file(folder.join(CONFIG), problem));
    }
    let logits = manifest.and_then(|manifest| manifest.outputs.iter().find(|output| output.name == "logits"));
    match logits.and_then(|logits| logits.shape.last()) {
        Some(&width) if labelled && width >= 0 && width != labels.len() as i64 => Err(Error::file(
            folder.join(CONFIG),
            format!(
                "id2label: expected {width} labels, one for each logit in version.toml, found {}; it belongs to another model",
                labels.len()
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Thresholds that were found for other labels, or for the same ones in another order, are worth nothing.
fn check_calibration(
    folder: &Path,
    labels_sha256: &str,
    manifest: Option<&VersionManifest>,
) -> Result<(), Error> {
    let classifier = manifest.and_then(|manifest| manifest.classifier.as_ref());
    match classifier {
        Some(classifier) if classifier.labels_sha256 != labels_sha256 => Err(Error::file(
            folder.join("version.toml"),
            format!(
                "classifier: labels-sha256: was calibrated for other labels than those in {CONFIG}, whose sha256 is {labels_sha256}: {}",
                classifier.labels_sha256
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Files of one folder, unsorted; an unreadable folder has none.
fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}
