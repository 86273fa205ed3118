//! `nanogrid expert new`: the folder of an expert that has no model yet.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use nanogrid_settings::{ExpertName, Task};
use serde_json::json;

use crate::{
    Global,
    error::{Error, Exit},
    print,
    up::CATALOG,
};

/// Begin an expert: a folder with expert.toml, a card to fill in, and settings to train it with.
///
/// Then train its model, or take one that is there: `nanogrid expert add NAME --from FOLDER`.
#[derive(Args)]
pub(crate) struct New {
    /// Lower-case words with hyphens, e.g. urgency
    name: ExpertName,
    /// What it does: text-classification, token-classification, ...
    #[arg(long, value_name = "TASK")]
    task: Task,
    /// The experts: a folder with one folder for each
    #[arg(long, default_value = CATALOG, value_name = "DIR")]
    catalog: PathBuf,
    /// One line for tables
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

impl New {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Error> {
        let folder = self.catalog.join(self.name.as_str());
        let files = files(&self.name, self.task, self.title.as_deref());
        make(&folder, &files)?;
        if global.json {
            let files: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
            print::json(&json!({ "path": folder.display().to_string(), "files": files }));
        } else {
            print::out(&said(&self.name, self.task, &folder, &files));
        }
        Ok(Exit::Done)
    }
}

/// Refuses to touch a folder that is there.
fn make(folder: &Path, files: &[(&'static str, String)]) -> Result<(), Error> {
    if let Some(catalog) = folder.parent() {
        fs::create_dir_all(catalog).map_err(Error::file("cannot make the folder", catalog))?;
    }
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: folder.to_owned() });
        }
        Err(error) => return Err(Error::file("cannot make the folder", folder)(error)),
    }
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(Error::file("cannot write", &path))?;
    }
    Ok(())
}

fn files(name: &ExpertName, task: Task, title: Option<&str>) -> Vec<(&'static str, String)> {
    let title = title.map_or_else(|| name.as_str().replace('-', " "), str::to_owned);
    let mut files = vec![
        (
            "expert.toml",
            expert_toml(name, task, &title, "To be written: what it says of what, in two sentences."),
        ),
        ("README.md", card(name)),
    ];
    match task {
        Task::TextClassification => files.push(("train.toml", train_labels(&title))),
        Task::TokenClassification => files.push(("train.toml", train_spans(name, &title))),
        // The training kit has no recipe for these.
        Task::TextToText
        | Task::Embedding
        | Task::ImageClassification
        | Task::SpeechToText
        | Task::TextToSpeech
        | Task::Series
        | Task::Tensor => {}
    }
    files
}

pub(crate) fn expert_toml(name: &ExpertName, task: Task, title: &str, description: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    format!(
        "name = {}\ntask = {}\ntitle = {}\ndescription = {}\ndefault-version = 1\n",
        quoted(name.as_str()),
        quoted(task.as_str()),
        quoted(title),
        quoted(description)
    )
}

fn card(name: &ExpertName) -> String {
    format!(
        "# {name}\n\nWhat it says, of what.\n\n## Accuracy\n\nMeasured on data that it was not trained on, with \
         intervals: `nanogrid eval --expert {name} --data dev.tsv`.\n\n## Data\n\nWhich sets it was trained on, from \
         where, under which licences.\n\n## Limits\n\n- What it is bad at, and what it must not be used for.\n\n## \
         Errors\n\nExamples of what it gets wrong.\n"
    )
}

/// A small encoder: the settings with which most of the catalog's experts were made.
fn train_labels(title: &str) -> String {
    let summary = toml::Value::from(format!("Says {title}."));
    format!(
        r#"# `make train EXPERT=... DATA=DIR` makes the model, its version folder and the card; experts/training/README.md
# explains the rest. Texts with labels are in data/train.tsv and data/dev.tsv beside this file, with the header `text<tab>label`.
version = 1
seed = 1
licence = "say under which licence the model may be used"
architecture = "first 3 layers of all-MiniLM-L6-v2, 6000 word pieces, int8"
activation = "softmax"  # sigmoid: several labels may be right
max-tokens = 128
metrics = ["accuracy", "macro-f1"]

[model]
layers = 3
pieces = 6000
dropout = 0.1

[learning]
epochs = 5
batch-tokens = 1024
rate = 3e-4
head-rate = 3e-3
label-smoothing = 0.05
bfloat16 = true

[card]
summary = {summary}
limits = ["to be written: what it is bad at"]

[[data]]
name = "data"
label = "label"
own = true
licence = "of these rows"
source = "where they are from"
"#
    )
}

/// A small encoder that learns from a big one, as those of the catalog that find spans do.
fn train_spans(name: &ExpertName, title: &str) -> String {
    let summary = toml::Value::from(format!("Finds {title}, each with its place in the text."));
    format!(
        r#"# `make train EXPERT={name} DATA=DIR` makes the model, its version folder and the card; experts/training/README.md
# explains the rest. Texts with spans are in DIR/{name}/train.jsonl.xz and dev.jsonl.xz:
# {{"tokens": ["Ann", "sleeps"], "tags": ["B-person", "O"]}}, or {{"text": "..", "spans": [{{"type": "person", "start": 0, "end": 3}}]}}.
task = "token-classification"
version = 1
seed = 1
licence = "say under which licence the model may be used"
architecture = "first 4 layers of a fine-tuned all-MiniLM-L6-v2, narrowed to 6 heads and 768 neurons, 9000 word pieces of rank 128 in three spellings, int8"
activation = "softmax"
max-tokens = 128
metrics = ["span-f1"]

[model]
layers = 4
heads = 6
inner = 768
rank = 128
dropout = 0.1
pieces = 9000

[learning]
epochs = 3
batch-tokens = 1024
rate = 4e-4
head-rate = 2e-3
bfloat16 = true

[teacher]
pieces = 12000
epochs = 3
rate = 1e-4
head-rate = 1e-3

[card]
summary = {summary}
limits = ["to be written: what it is bad at"]

[[data]]
name = "{name}"
licence = "of these rows"
source = "where they are from"
"#
    )
}

fn said(name: &ExpertName, task: Task, folder: &Path, files: &[(&'static str, String)]) -> String {
    let mut text = format!("{}\n", folder.display());
    for (file, _) in files {
        text.push_str(&format!("  {file}\n"));
    }
    if files.iter().any(|(file, _)| *file == "train.toml") {
        text.push_str(&format!(
            "to train it: fill in train.toml, then `make train EXPERT={name} DATA=DIR`\n"
        ));
    } else {
        text.push_str(&format!("to train one for {task}: see experts/training/README.md\n"));
    }
    text.push_str(&format!("with a model that is there: `nanogrid expert add {name} --from FOLDER`\n"));
    text
}
