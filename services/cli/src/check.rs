//! `nanogrid check`: everything that is wrong with grid files and packages, before a grid meets it.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::Args;
use comfy_table::{Attribute, Color};
use nanogrid_onnx::{Model, ModelOptions, Package, Text};
use nanogrid_settings::{ExpertManifest, Grid, InferenceSettings, Problem, Task};
use serde_json::{Value, json};

use crate::{
    Global,
    error::{Error, Exit},
    print::{self, cell},
    up::{CATALOG, CLASSIFIER, folders},
};

const GRID_FILE: &str = "grid.toml";

/// Find what is wrong with a grid file and with packages, without a grid.
///
/// With nothing named, checks grid.toml, the catalog and the router's classifier where they are.
#[derive(Args)]
pub(crate) struct Check {
    /// Check this grid file
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
    /// Check every package of this catalog
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Load the models as well: their inputs and outputs are compared with the manifest, and each runs once
    #[arg(long)]
    load: bool,
    /// Folders of experts or of single versions
    packages: Vec<PathBuf>,
}

/// One thing that was looked at.
struct Checked {
    path: PathBuf,
    /// What it is, as far as that could be read.
    about: String,
    problems: Vec<Problem>,
}

impl Check {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Error> {
        let load = self.load;
        let (grid, folders) = self.with_defaults().places()?;
        if load {
            nanogrid_onnx::init(None)?;
        }
        let mut checked: Vec<Checked> = grid.iter().map(|path| check_grid(path)).collect();
        for folder in &folders {
            checked.extend(check_folder(folder, load));
        }
        if global.json {
            print::json(&to_json(&checked));
        } else {
            print::out(&render(&checked));
        }
        Ok(if checked.iter().all(|checked| checked.problems.is_empty()) { Exit::Done } else { Exit::Failed })
    }

    fn with_defaults(mut self) -> Self {
        if self.grid.is_none() && self.catalog.is_none() && self.packages.is_empty() {
            let existing = |path: &str| Some(PathBuf::from(path)).filter(|path| path.exists());
            self.grid = existing(GRID_FILE);
            self.catalog = existing(CATALOG);
            self.packages.extend(existing(CLASSIFIER));
        }
        self
    }

    /// The grid file and the folders of packages to look at.
    fn places(self) -> Result<(Option<PathBuf>, Vec<PathBuf>), Error> {
        let mut packages = self.packages;
        if let Some(catalog) = &self.catalog {
            packages.extend(folders(catalog)?);
        }
        if self.grid.is_none() && packages.is_empty() {
            return Err(Error::NothingToCheck);
        }
        Ok((self.grid, packages))
    }
}

fn check_grid(path: &Path) -> Checked {
    let (about, problems) = match Grid::read(path) {
        Ok(grid) => {
            let endpoints = grid
                .experts
                .iter()
                .flat_map(|expert| &expert.versions)
                .map(|version| version.endpoints.len())
                .sum::<usize>();
            (format!("a grid of {} experts at {endpoints} endpoints", grid.experts.len()), Vec::new())
        }
        Err(error) => (String::new(), of_settings(error)),
    };
    Checked { path: path.to_owned(), about, problems }
}

/// Every version of an expert, or the one version that the folder is.
fn check_folder(folder: &Path, load: bool) -> Vec<Checked> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions: Vec<PathBuf> =
        folders(folder).unwrap_or_default().into_iter().filter(|path| version(path).is_some()).collect();
    if versions.is_empty() {
        return vec![check_package(folder, load)];
    }
    let problems = match ExpertManifest::read(folder) {
        Ok(Some(manifest))
            if !versions.iter().any(|path| version(path) == Some(manifest.default_version)) =>
        {
            vec![missing_default(folder, manifest.default_version)]
        }
        Ok(_) => return versions.iter().map(|path| check_package(path, load)).collect(),
        // Said once here, and not once for each version.
        Err(error) => of_settings(error),
    };
    vec![Checked { path: folder.to_owned(), about: String::new(), problems }]
}

fn missing_default(folder: &Path, version: u32) -> Problem {
    Problem {
        place: folder.join("expert.toml").display().to_string(),
        key: "default-version".to_owned(),
        message: format!("must be one of the folders beside this file: {version}"),
    }
}

fn check_package(folder: &Path, load: bool) -> Checked {
    let result = Package::open(folder).and_then(|package| {
        if load {
            match package.task {
                Task::Tensor | Task::ImageClassification => {}
                Task::TextClassification
                | Task::TokenClassification
                | Task::TextToText
                | Task::Embedding
                | Task::SpeechToText
                | Task::TextToSpeech
                | Task::Series => drop(Text::load(&package)?),
            }
            load_model(&package)?;
        }
        Ok(package)
    });
    let (path, about, problems) = match result {
        Ok(package) => (package.folder.clone(), about(&package), Vec::new()),
        Err(error) => (folder.to_owned(), String::new(), of_package(error, folder)),
    };
    Checked { path, about, problems }
}

fn about(package: &Package) -> String {
    let Package { name, version, task, labels, .. } = package;
    let labels = if labels.is_empty() { String::new() } else { format!(", {} labels", labels.len()) };
    format!("{name} v{version}, {task}{labels}")
}

/// With the limits that an expert process has by default. It runs once.
pub(crate) fn load_model(package: &Package) -> Result<Model, nanogrid_onnx::Error> {
    let defaults = InferenceSettings::default();
    let options = ModelOptions {
        workers: NonZeroUsize::MIN,
        queue: defaults.queue,
        max_batch_rows: defaults.max_batch_rows,
        max_batch_tokens: package.max_batch_tokens.unwrap_or(defaults.max_batch_tokens),
        max_batch_pixels: package.max_batch_pixels.unwrap_or(defaults.max_batch_pixels),
        intra_op_threads: defaults.intra_op_threads,
    };
    Model::load(package, &options)
}

pub(crate) fn of_package(error: nanogrid_onnx::Error, folder: &Path) -> Vec<Problem> {
    match error {
        nanogrid_onnx::Error::Manifest(error) => of_settings(error),
        nanogrid_onnx::Error::File { path, problem } | nanogrid_onnx::Error::Graph { path, problem } => {
            vec![Problem { place: path.display().to_string(), key: String::new(), message: problem }]
        }
        error @ (nanogrid_onnx::Error::Library { .. } | nanogrid_onnx::Error::NotInitialised) => {
            vec![Problem {
                place: folder.display().to_string(),
                key: String::new(),
                message: error.to_string(),
            }]
        }
    }
}

pub(crate) fn of_settings(error: nanogrid_settings::Error) -> Vec<Problem> {
    match error {
        nanogrid_settings::Error::Read { path, source } => vec![Problem {
            place: path.display().to_string(),
            key: String::new(),
            message: format!("cannot be read: {source}"),
        }],
        nanogrid_settings::Error::Invalid(problems) => problems.0,
    }
}

fn render(checked: &[Checked]) -> String {
    let mut table = print::table();
    for Checked { path, about, problems } in checked {
        let (word, color) = if problems.is_empty() { ("ok", Color::Green) } else { ("wrong", Color::Red) };
        table.add_row([
            cell(word).fg(color),
            cell(path.display()).add_attribute(Attribute::Bold),
            cell(about).add_attribute(Attribute::Dim),
        ]);
    }
    let mut text = print::lines(table);
    let problems: Vec<&Problem> = checked.iter().flat_map(|checked| &checked.problems).collect();
    if !problems.is_empty() {
        text.push('\n');
    }
    for problem in &problems {
        text.push_str(&format!("{}\n", print::printable(&problem.to_string())));
    }
    let n_wrong = checked.iter().filter(|checked| !checked.problems.is_empty()).count();
    if n_wrong > 0 {
        text.push_str(&format!("\n{} problems in {n_wrong} of {} places\n", problems.len(), checked.len()));
    }
    text
}

fn to_json(checked: &[Checked]) -> Value {
    let problem =
        |problem: &Problem| json!({"place": problem.place, "key": problem.key, "message": problem.message});
    let place = |checked: &Checked| {
        json!({
            "path": checked.path.display().to_string(),
            "about": checked.about,
            "ok": checked.problems.is_empty(),
            "problems": checked.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    };
    json!({
        "ok": checked.iter().all(|checked| checked.problems.is_empty()),
        "checked": checked.iter().map(place).collect::<Vec<_>>(),
    })
}
