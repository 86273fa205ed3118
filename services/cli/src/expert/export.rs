//! A folder as the Hugging Face ecosystem exports it: found, and looked through for everything that is wrong at once.

use std::path::{Path, PathBuf};

use nanogrid_settings::{HfConfig, ImageProcessorConfig, Task};
use serde_json::Value;

use crate::{
    check,
    expert::weights::{self, Weights},
};

const MODEL: &str = "model.onnx";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const CONFIG: &str = "config.json";
/// The graphs of a model that answers with texts, and how it does. Some exports have a third graph.
const ENCODER: &str = "encoder_model.onnx";
const DECODER: &str = "decoder_with_past_model.onnx";
const FIRST_DECODER: &str = "decoder_model.onnx";
const GENERATION: &str = "generation_config.json";
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
        let writes = graph(folder, ENCODER).is_file().then_some(Task::TextToText);
        let task = task.or(writes).or(of_config).unwrap_or(Task::TextClassification);
        let input = if task == Task::ImageClassification { IMAGE_PROCESSOR } else { TOKENIZER };
        let generation = (task == Task::TextToText).then_some(GENERATION);
        for name in [input, CONFIG].into_iter().chain(generation) {
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
        let graphs = if task == Task::TextToText {
            find_graphs(folder)
        } else {
            vec![(find_model(folder, model), MODEL)]
        };
        let mut found = Weights::default();
        for (path, name) in graphs {
            match path {
                Ok(path) => {
                    match weights::read(&path) {
                        Ok(weights) => {
                            for name in &weights.files {
                                beside(&path, name, &mut files, problems);
                            }
                            found.add(weights);
                        }
                        Err(error) => problems.push(error.to_string()),
                    }
                    files.push((path, name.to_owned()));
                }
                Err(problem) => problems.push(problem),
            }
        }
        Self { folder: folder.to_owned(), files, weights: found, architecture: architecture(&config), task }
    }
}

/// The graphs of a model that answers with texts, by the names that they have in a package.
fn find_graphs(folder: &Path) -> Vec<(Result<PathBuf, String>, &'static str)> {
    let find = |name: &'static str| {
        let path = graph(folder, name);
        let missing = format!(
            "{}: there is no such file; export it with `optimum-cli export onnx --task text2text-generation-with-past`",
            path.display()
        );
        (if path.is_file() { Ok(path) } else { Err(missing) }, name)
    };
    let first = graph(folder, FIRST_DECODER).is_file().then_some(FIRST_DECODER);
    [ENCODER, DECODER].into_iter().chain(first).map(find).collect()
}

/// Where exporters put it.
fn graph(folder: &Path, name: &str) -> PathBuf {
    let inside = folder.join("onnx").join(name);
    if inside.is_file() { inside } else { folder.join(name) }
}

/// Where exporters put it, or where it is said to be.
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
