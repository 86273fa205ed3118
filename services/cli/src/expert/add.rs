//! `nanogrid expert add`: an exported model becomes a version of an expert. It is put together beside its place and tried
//! there; only what loads, runs and fits moves in, in one step.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::Args;
use nanogrid_onnx::Package;
use nanogrid_settings::{ExpertManifest, ExpertName, Task};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Global, check,
    error::{Error, Exit},
    expert::{
        export::Export,
        golden::{self, Loaded},
        manifest, new,
    },
    print::{self, BOLD},
    up::{CATALOG, folders},
};

const HELP: &str = "FOLDER is what exporters of the Hugging Face ecosystem write: model.onnx or onnx/model.onnx, tokenizer.json
(for images preprocessor_config.json), and config.json with id2label; for a model that answers with texts
encoder_model.onnx, decoder_with_past_model.onnx and generation_config.json. It is checked: that everything is there,
loads and runs; that the model has an output for each label, or knows the tokens that begin and end its texts; that it
knows every token and can read as many as it says. Everything that is wrong is
told at once, and then nothing is changed.

A new expert gets an expert.toml; one that is there gets another version, and goes on with its default until
you change it, or start a rollout.

Examples:
  nanogrid expert add urgency --from ~/exports/urgency --licence Apache-2.0
  nanogrid expert add urgency --from ~/exports/urgency-2 --texts examples.txt";

/// Make a checked package of a model exported from the Hugging Face ecosystem.
#[derive(Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Add {
    /// Lower-case words with hyphens, e.g. urgency
    name: ExpertName,
    /// The export: model.onnx or onnx/model.onnx, tokenizer.json, config.json with id2label
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// What it does [default: as expert.toml or config.json says, else text-classification]
    #[arg(long, value_name = "TASK")]
    task: Option<Task>,
    /// The experts: a folder with one folder for each
    #[arg(long, default_value = CATALOG, value_name = "DIR")]
    catalog: PathBuf,
    /// The model file, from FOLDER, where it has another name
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Texts are cut to so many tokens [default: as the export says]
    #[arg(long, value_name = "N")]
    max_tokens: Option<NonZeroUsize>,
    /// Of the weights
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// One line for tables, for a new expert
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Texts, one a line: what the model answers to them is kept in the package as golden cases
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// The same of images: a folder of PNG and JPEG files, which are copied
    #[arg(long, value_name = "FOLDER", conflicts_with = "texts")]
    images: Option<PathBuf>,
}

/// The expert that the version is for.
struct Home {
    folder: PathBuf,
    manifest: Option<ExpertManifest>,
    version: u32,
}

impl Add {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let home = Home::find(&self.catalog, &self.name)?;
        let mut problems = Vec::new();
        let said = self.task(&home, &mut problems);
        let export = Export::look(&self.from, self.model.as_deref(), said, &mut problems);
        refuse_task(export.task, &mut problems);
        self.refuse(problems)?;

        let stage = self.stage(&home, &export)?;
        let staged = stage.path().join(self.name.as_str());
        let folder = staged.join(home.version.to_string());
        let (package, n_golden) = self.check(&folder, &export, home.version).await?;
        let labels_changed = home.labels_changed(&package);
        home.move_in(&staged)?;

        let folder = home.folder.join(home.version.to_string());
        let about = About { package: &package, export: &export, folder: &folder, n_golden, labels_changed };
        if global.json {
            print::json(&about.json());
        } else {
            print::out(&about.text(home.manifest.as_ref()));
        }
        Ok(Exit::Done)
    }

    fn refuse(&self, problems: Vec<String>) -> Result<(), Error> {
        if problems.is_empty() { Ok(()) } else { Err(self.no_expert(problems)) }
    }

    fn no_expert(&self, problems: Vec<String>) -> Error {
        Error::NoExpert { what: self.from.display().to_string(), problems }
    }

    /// As the expert that is there does it, or as it was said.
    fn task(&self, home: &Home, problems: &mut Vec<String>) -> Option<Task> {
        match (home.manifest.as_ref().map(|manifest| manifest.task), self.task) {
            (Some(there), Some(said)) if there != said => {
                problems
                    .push(format!("--task: `{}` does {there} already, and cannot do {said} too", self.name));
                Some(there)
            }
            (there, said) => there.or(said),
        }
    }

    /// In the catalog, so that moving in is a renaming, and hidden, so that nobody serves it.
    fn stage(&self, home: &Home, export: &Export) -> Result<TempDir, Error> {
        fs::create_dir_all(&self.catalog).map_err(Error::file("cannot make the folder", &self.catalog))?;
        let stage = tempfile::Builder::new()
            .prefix(&format!(".{}-", self.name))
            .tempdir_in(&self.catalog)
            .map_err(Error::file("cannot make a folder in", &self.catalog))?;
        let expert = stage.path().join(self.name.as_str());
        let version = expert.join(home.version.to_string());
        fs::create_dir_all(&version).map_err(Error::file("cannot make the folder", &version))?;
        let description = description(export);
        let title = self.title.clone().unwrap_or_else(|| self.name.as_str().replace('-', " "));
        let manifest = expert.join("expert.toml");
        fs::write(&manifest, new::expert_toml(&self.name, export.task, &title, &description))
            .map_err(Error::file("cannot write", &manifest))?;
        for (from, name) in &export.files {
            fs::copy(from, version.join(name)).map_err(Error::file("cannot copy", from))?;
        }
        Ok(stage)
    }

    /// Loads and runs what is in `folder`, and writes its manifest; or tells everything that is wrong.
    async fn check(
        &self,
        folder: &Path,
        export: &Export,
        version: u32,
    ) -> Result<(Package, Option<usize>), Error> {
        nanogrid_onnx::init(None)?;
        let told = |error| -> Vec<String> {
            let stage = folder.display().to_string();
            let said = check::of_package(error, folder).into_iter();
            // It has not moved in: what is wrong is wrong with the export.
            said.map(|problem| problem.to_string().replace(&stage, &export.folder.display().to_string()))
                .collect()
        };
        let package = Package::open(folder)
            .map(|package| Package { max_tokens: self.max_tokens.unwrap_or(package.max_tokens), ..package });
        let package = match package {
            Ok(package) => package,
            Err(error) => return Err(self.no_expert(told(error))),
        };
        let loaded = Loaded::load(package)
            .map_err(|errors| self.no_expert(errors.into_iter().flat_map(told).collect()))?;
        self.refuse(golden::probe(&loaded).await)?;
        let n_golden = match (&self.texts, &self.images) {
            (Some(texts), _) => Some(loaded.record_texts(texts).await?),
            (None, Some(images)) => Some(loaded.record_images(images).await?),
            (None, None) => None,
        };
        manifest::write(&loaded.package, &loaded.model, export, version, self.licence.as_deref())?;
        Ok((Package::open(folder)?, n_golden))
    }
}

fn refuse_task(task: Task, problems: &mut Vec<String>) {
    match task {
        Task::TextClassification
        | Task::TokenClassification
        | Task::TextToText
        | Task::ImageClassification => {}
        Task::Embedding
        | Task::SpeechToText
        | Task::TextToSpeech
        | Task::Series
        | Task::Tensor => problems.push(format!(
            "--task: packages for {task} are not made here; write their version.toml by hand, and check it with \
             `nanogrid check`"
        )),
    }
}

/// What config.json knows of it.
fn description(export: &Export) -> String {
    const SHOWN: usize = 5;
    let config = nanogrid_settings::HfConfig::read(&export.folder).ok().flatten();
    let labels = config.map(|config| config.labels).unwrap_or_default();
    // Labels of words say where an entity begins and goes on; what it is counts here.
    let mut names: Vec<&str> = match export.task {
        Task::TokenClassification => labels.iter().filter_map(|label| label.strip_prefix("B-")).collect(),
        Task::TextClassification
        | Task::TextToText
        | Task::Embedding
        | Task::ImageClassification
        | Task::SpeechToText
        | Task::TextToSpeech
        | Task::Series
        | Task::Tensor => labels.iter().map(String::as_str).collect(),
    };
    if export.task == Task::TextToText {
        return "Answers a text with another one.".to_owned();
    }
    let (n, more) = (names.len(), if names.len() > SHOWN { ", .." } else { "" });
    names.truncate(SHOWN);
    let what =
        if export.task == Task::TokenClassification { "Finds spans of" } else { "Answers with one of" };
    format!("{what} {n} kinds: {}{more}.", names.join(", "))
}

impl Home {
    fn find(catalog: &Path, name: &ExpertName) -> Result<Self, Error> {
        let folder = catalog.join(name.as_str());
        let manifest = ExpertManifest::read(&folder).map_err(nanogrid_onnx::Error::from)?;
        if manifest.is_none() && folder.exists() {
            let problem =
                "has no expert.toml: begin another one with `nanogrid expert new`, or remove it".to_owned();
            return Err(Error::Data { path: folder, problem });
        }
        let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        let versions = if manifest.is_some() { folders(&folder)? } else { Vec::new() };
        let last = versions.iter().filter_map(number).max();
        let version = match (&manifest, last) {
            // Begun, and without a model so far.
            (Some(manifest), None) => manifest.default_version,
            (_, last) => last.unwrap_or(0) + 1,
        };
        Ok(Self { folder, manifest, version })
    }

    /// Whether the default version has other labels: then no version can stand in for the other.
    fn labels_changed(&self, package: &Package) -> bool {
        let before = self.manifest.as_ref().and_then(|_| Package::open(&self.folder).ok());
        before.is_some_and(|before| before.labels_sha256 != package.labels_sha256)
    }

    fn move_in(&self, staged: &Path) -> Result<(), Error> {
        let version = self.version.to_string();
        let (from, to) = match &self.manifest {
            Some(_) => (staged.join(&version), self.folder.join(&version)),
            None => (staged.to_owned(), self.folder.clone()),
        };
        fs::rename(&from, &to).map_err(Error::file("cannot move to", &to))
    }
}

/// What has become of it.
struct About<'a> {
    package: &'a Package,
    export: &'a Export,
    folder: &'a Path,
    n_golden: Option<usize>,
    labels_changed: bool,
}

impl About<'_> {
    fn json(&self) -> Value {
        let Package { name, version, task, labels, manifest, max_tokens, .. } = self.package;
        json!({
            "path": self.folder.display().to_string(),
            "name": name.as_str(),
            "version": version,
            "task": task.as_str(),
            "labels": labels.to_vec(),
            "max_tokens": max_tokens,
            "bytes": manifest.as_ref().map(|manifest| manifest.size.bytes),
            "parameters": self.export.weights.parameters,
            "golden_cases": self.n_golden,
            "labels_changed": self.labels_changed,
        })
    }

    fn text(&self, before: Option<&ExpertManifest>) -> String {
        let Package { name, version, task, labels, manifest, .. } = self.package;
        let bytes = manifest.as_ref().map_or(0, |manifest| manifest.size.bytes);
        let mut text = format!(
            "{BOLD}{}{BOLD:#}: {name} v{version}, {task}, {} labels, {:.1} MB, {} parameters\n",
            self.folder.display(),
            labels.len(),
            bytes as f64 / 1e6,
            self.export.weights.parameters
        );
        if let Some(n) = self.n_golden {
            text.push_str(&format!("{n} golden cases\n"));
        }
        if self.labels_changed {
            text.push_str(
                "its labels are not those of the default version: the two cannot stand in for each other\n",
            );
        }
        text.push_str(&format!(
            "test it: nanogrid eval --package {} --data rows.tsv\n",
            self.folder.display()
        ));
        match before.filter(|before| before.default_version != *version) {
            Some(before) => text.push_str(&format!(
                "served stays version {}: change default-version in expert.toml, or start a rollout\n",
                before.default_version
            )),
            None => {
                let asked =
                    if *task == Task::ImageClassification { "--image photo.jpg" } else { "\"a text\"" };
                text.push_str(&format!("serve it: nanogrid up; nanogrid infer --expert {name} {asked}\n"))
            }
        }
        text
    }
}
