//! How a file says its texts and their labels.

use std::{collections::HashMap, path::Path};

/// How to read a file.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What its lines are.
    pub format: Format,
    /// What the truth about a text is.
    pub wanted: Wanted,
    /// Column, or key, of the texts.
    pub text: String,
    /// Column, or key, of the labels, or of the texts that are right.
    pub label: String,
    /// What stands between several labels in one place; `None` = each place holds one label.
    pub separator: Option<String>,
    /// Labels and entities that are called otherwise by the expert. An entity that is called `O` is none.
    pub rename: HashMap<String, String>,
    /// Only rows with this value in this column, for each of them.
    pub only: Vec<(String, String)>,
    /// What the offsets of spans count.
    pub offsets: Offsets,
}

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fields between tabs, taken as they are; the first line names the columns.
    Tsv,
    /// One JSON object each.
    JsonLines,
}

/// What the truth about a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One label or several.
    Labels,
    /// Spans of it.
    Spans,
    /// Another text.
    Text,
}

/// What the offsets of spans count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offsets {
    /// Unicode scalar values, as the strings of Python do.
    #[default]
    Characters,
    /// Bytes of UTF-8, as the grid does.
    Bytes,
}

impl Format {
    /// By the end of a file's name, which a compression may follow.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let name = [".xz", ".gz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "tsv" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

impl Layout {
    /// `text`, and `label` or `reference`; nothing renamed, every row.
    pub fn new(format: Format, wanted: Wanted) -> Self {
        Self {
            format,
            wanted,
            text: "text".to_owned(),
            label: if wanted == Wanted::Text { "reference" } else { "label" }.to_owned(),
            separator: None,
            rename: HashMap::new(),
            only: Vec::new(),
            offsets: Offsets::default(),
        }
    }

    /// A label of the file as the expert calls it.
    pub(crate) fn renamed(&self, label: &str) -> String {
        self.rename.get(label).map_or(label, String::as_str).to_owned()
    }

    /// The labels in one place.
    pub(crate) fn split(&self, written: &str) -> Vec<String> {
        let Some(separator) = &self.separator else { return vec![self.renamed(written)] };
        let labels = written.split(separator.as_str()).map(str::trim).filter(|label| !label.is_empty());
        labels.map(|label| self.renamed(label)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_inside_whatever_it_is_packed_in() {
        for (name, format) in [
            ("dev.tsv", Some(Format::Tsv)),
            ("a.b/dev.TSV.xz", Some(Format::Tsv)),
            ("dev.jsonl.gz", Some(Format::JsonLines)),
            ("dev.ndjson", Some(Format::JsonLines)),
            ("dev.csv", None),
            ("tsv", None),
            ("dev.xz", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
