//! A folder as the Hugging Face ecosystem exports it: found, and looked through for everything that is wrong at once.

use std::path::{Path, PathBuf};

use nanogrid_settings::{HfConfig, ImageProcessorConfig, Task};
use serde_json::Value;

use crate::{
    check,
    expert::weights::{self, Weights},
};

pub(crate) const MODEL: &str = "model.onnx";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const CONFIG: &str = "config.json";
const IMAGE_PROCESSOR: &str = "preprocessor_config.json";
/// Says how long a text may be; not every export has it.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// What is there.
pub(crate) struct Export {
    pub(crate) folder: PathBuf,
    /// From, and by which name to.
    pub(crate) files: Vec<(PathBuf, String)>,
    pub(crate) weights: Weights,
    /// e.g. `DistilBertForSequenceClassification`
    pub(crate) architecture: Option<String>,
    /// What the model is for: as said, else by config.json.
    pub(crate) task: Task,
}

impl Export {
    /// Everything that is wrong goes to `problems`.
    pub(crate) fn look(
        folder: &Path,
        model: Option<&Path>,
        task: Option<Task>,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut files = Vec::new();
        let config = folder.join(CONFIG);
        let read = HfConfig::read(folder);
        let of_config = read.as_ref().ok().and_then(|config| config.as_ref()?.task);
        let task = task.or(of_config).unwrap_or(Task::TextClassification);
        let input = if task == Task::ImageClassification { IMAGE_PROCESSOR } else { TOKENIZER };
        for name in [input, CONFIG] {
            let path = folder.join(name);
            if path.is_file() {
                files.push((path, name.to_owned()));
            } else {
                problems.push(format!("{}: there is no such file; an export needs it", path.display()));
            }
        }
        let mut refused: Vec<_> = read.err().into_iter().collect();
        if task == Task::ImageClassification && folder.join(IMAGE_PROCESSOR).is_file() {
            refused.extend(ImageProcessorConfig::read(folder).err());
        }
        problems.extend(refused.into_iter().flat_map(check::of_settings).map(|problem| problem.to_string()));
        let optional = folder.join(TOKENIZER_CONFIG);
        if optional.is_file() {
            files.push((optional, TOKENIZER_CONFIG.to_owned()));
        }
        let mut found = Weights::default();
        match find_model(folder, model) {
            Ok(path) => {
                match weights::read(&path) {
                    Ok(weights) => found = weights,
                    Err(error) => problems.push(error.to_string()),
                }
                for name in &found.files {
                    beside(&path, name, &mut files, problems);
                }
                files.push((path, MODEL.to_owned()));
            }
            Err(problem) => problems.push(problem),
        }
        Self { folder: folder.to_owned(), files, weights: found, architecture: architecture(&config), task }
    }
}

/// Where exporters put it.
fn find_model(folder: &Path, said: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(said) = said {
        let path = folder.join(said);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("{}: there is no such file", path.display()))
        };
    }
    let places = [folder.join(MODEL), folder.join("onnx").join(MODEL)];
    if let Some(path) = places.iter().find(|path| path.is_file()) {
        return Ok(path.clone());
    }
    let others: Vec<String> = [folder.to_owned(), folder.join("onnx")]
        .iter()
        .filter_map(|folder| folder.read_dir().ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .map(|path| format!("`{}`", path.strip_prefix(folder).unwrap_or(&path).display()))
        .collect();
    let way_out = if others.is_empty() {
        "export one, e.g. with `optimum-cli export onnx`".to_owned()
    } else {
        format!("name one of these with --model: {}", others.join(", "))
    };
    Err(format!("{}: there is neither {MODEL} nor onnx/{MODEL}; {way_out}", folder.display()))
}

/// Weights in a file of their own, which must lie beside the model.
fn beside(model: &Path, name: &str, files: &mut Vec<(PathBuf, String)>, problems: &mut Vec<String>) {
    let path = model.with_file_name(name);
    // A model must not make anybody read outside of its folder.
    if name.contains(['/', '\\']) || name.starts_with('.') {
        problems
            .push(format!("{}: takes weights from `{name}`, which is no file beside it", model.display()));
    } else if path.is_file() {
        files.push((path, name.to_owned()));
    } else {
        problems
            .push(format!("{}: there is no such file, and the model takes weights from it", path.display()));
    }
}

fn architecture(config: &Path) -> Option<String> {
    let config: Value = serde_json::from_slice(&std::fs::read(config).ok()?).ok()?;
    config["architectures"][0].as_str().map(str::to_owned)
}
