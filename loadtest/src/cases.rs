//! What is sent, and what should come back.
//!
//! By default the golden cases of every expert of the catalog: the training side recorded them, so a wrong answer is a
//! fault of the serving, not of the model. Labelled files work too; then wrong answers also tell how good the model is.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use bytes::Bytes;
use serde::Deserialize;

use crate::Error;

/// One input and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What the expert looks at.
    pub input: Input,
    /// Whose answer is checked; `None` = whoever answers.
    pub expert: Option<String>,
    /// Asked of its expert by name, even where the classifier decides: a text does not tell that it is to be translated.
    pub by_name: bool,
    /// Any of these is right; empty = every answer is.
    pub expected: Vec<String>,
}

/// What an expert looks at. Shown as the text, or as where the image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// For experts of texts.
    Text(String),
    /// For experts of images.
    Image {
        /// Where it was read from.
        path: PathBuf,
        /// A PNG or JPEG file.
        file: Bytes,
    },
}

impl Input {
    /// A text of white space alone, which a grid refuses. Golden cases have some, to hold the tokenisers to it.
    pub fn is_blank(&self) -> bool {
        self.text().is_some_and(|text| text.trim().is_empty())
    }

    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Image { .. } => None,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Image { path, .. } => path.display().fmt(f),
        }
    }
}

/// Scores closer than this may swap places from one processor to the next.
const TIE: f32 = 1e-3;

/// One line of JSONL: `text` or `image`, and `label`, or `labels` with `scores` or an `output` as in golden cases.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    /// A path, from the folder of the JSONL file.
    image: Option<PathBuf>,
    expert: Option<String>,
    label: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    scores: Vec<f32>,
    /// Of an expert that answers with texts.
    output: Option<Output>,
}

#[derive(Deserialize)]
struct Output {
    text: String,
}

impl Line {
    fn expected(&self) -> Vec<String> {
        if let Some(exact) = self.label.as_ref().or(self.output.as_ref().map(|output| &output.text)) {
            return vec![exact.clone()];
        }
        let best = self.scores.first().copied().unwrap_or_default();
        let tied = self.scores.iter().take_while(|score| best - **score < TIE).count();
        self.labels.iter().take(tied.max(1)).cloned().collect()
    }
}

/// Reads a `.jsonl` or `.tsv` file. TSV has a header; its columns are `text`, `label` (or else the second one) and,
/// optionally, `expert`.
pub fn read(path: &Path) -> Result<Vec<Case>, Error> {
    let content = read_file(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl") => jsonl(&content, path),
        Some("tsv") => tsv(&content, path),
        Some(_) | None => Err(Error::UnknownFormat { path: path.to_owned() }),
    }
}

/// The golden cases of the default version of every expert below `catalog`, or of the one called `only`.
pub fn golden(catalog: &Path, only: Option<&str>) -> Result<Vec<Case>, Error> {
    let unreadable = |source| Error::Unreadable { path: catalog.to_owned(), source };
    let mut folders = fs::read_dir(catalog)
        .map_err(unreadable)?
        .map(|entry| Ok(entry.map_err(unreadable)?.path()))
        .collect::<Result<Vec<PathBuf>, Error>>()?;
    // The order of a folder differs between machines; the order of the load must not.
    folders.sort();
    let mut cases = Vec::new();
    for folder in folders {
        let manifest = folder.join("expert.toml");
        if !manifest.is_file() {
            continue;
        }
        let Manifest { name, default_version, .. } = Manifest::read(&manifest)?;
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let golden = folder.join(default_version.to_string()).join("golden.jsonl");
        let mut of_expert = read(&golden)?;
        for case in &mut of_expert {
            case.expert = Some(name.clone());
        }
        cases.append(&mut of_expert);
    }
    Ok(cases)
}

/// The keys of an `expert.toml` that are needed here; checking it is the work of those who serve it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Manifest {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) task: String,
    pub(crate) default_version: u32,
}

impl Manifest {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let content = read_file(path)?;
        toml::from_str(&content).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + content[..span.start].matches('\n').count());
            Error::BadLine { path: path.to_owned(), line, problem: error.message().to_owned() }
        })
    }
}

fn read_file(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

fn jsonl(content: &str, path: &Path) -> Result<Vec<Case>, Error> {
    let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(idx, line)| {
            let line: Line = serde_json::from_str(line).map_err(|error| Error::BadLine {
                path: path.to_owned(),
                line: idx + 1,
                problem: error.to_string(),
            })?;
            let (expected, by_name) = (line.expected(), line.output.is_some());
            let input = match (line.text, line.image) {
                (Some(text), None) => Input::Text(text),
                (None, Some(image)) => read_image(path.with_file_name(image))?,
                (Some(_), Some(_)) | (None, None) => {
                    let problem = "must have a `text` or an `image`".to_owned();
                    return Err(Error::BadLine { path: path.to_owned(), line: idx + 1, problem });
                }
            };
            Ok(Case { input, expert: line.expert, by_name, expected })
        })
        .collect()
}

fn read_image(path: PathBuf) -> Result<Input, Error> {
    match fs::read(&path) {
        Ok(file) => Ok(Input::Image { path, file: file.into() }),
        Err(source) => Err(Error::Unreadable { path, source }),
    }
}

fn tsv(content: &str, path: &Path) -> Result<Vec<Case>, Error> {
    let bad = |line, problem: String| Error::BadLine { path: path.to_owned(), line, problem };
    let mut lines = content.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name| header.iter().position(|title| *title == name);
    let text = column("text")
        .ok_or_else(|| bad(1, format!("the header must have a column `text`: `{}`", header.join("`, `"))))?;
    let label = column("label").or_else(|| (0..header.len()).find(|idx| *idx != text));
    let expert = column("expert");
    lines
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(idx, line)| {
            let fields: Vec<&str> = line.split('\t').collect();
            if fields.len() != header.len() {
                let (found, wanted) = (fields.len(), header.len());
                return Err(bad(idx + 2, format!("must have {wanted} columns as in the header: {found}")));
            }
            let field = |column: Option<usize>| column.map(|column| fields[column].to_owned());
            Ok(Case {
                input: Input::Text(fields[text].to_owned()),
                expert: field(expert),
                by_name: false,
                expected: field(label).into_iter().collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
