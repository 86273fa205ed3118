//! What is used of a Hugging Face `config.json`. The rest of it is other people's: unknown keys are fine here.

use std::{collections::BTreeMap, num::NonZeroUsize};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Activation, HfConfig};
use crate::{Problem, Problems, Task};

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    id2label: BTreeMap<String, String>,
    #[serde(default)]
    text_id2label: BTreeMap<String, String>,
    #[serde(default)]
    architectures: Vec<String>,
    problem_type: Option<String>,
    max_position_embeddings: Option<NonZeroUsize>,
}

pub(super) fn config(source: &str, text: &str) -> Result<HfConfig, Problems> {
    let raw: Raw = serde_json::from_str(text).map_err(|error| malformed(source, &error))?;
    let labels_of = |key: &str, map| {
        labels(map).map_err(|messages| {
            let problem = |message| Problem { place: source.to_owned(), key: key.to_owned(), message };
            Problems(messages.into_iter().map(problem).collect())
        })
    };
    let labels = labels_of("id2label", raw.id2label)?;
    let text_labels = labels_of("text_id2label", raw.text_id2label)?;
    let activation = match raw.problem_type.as_deref() {
        Some("multi_label_classification") => Activation::Sigmoid,
        _ => Activation::Softmax,
    };
    let task = task(&raw.architectures, &labels);
    Ok(HfConfig { labels, text_labels, task, activation, max_tokens: raw.max_position_embeddings })
}

/// What the model is for, by its architecture, else by its labels.
fn task(architectures: &[String], labels: &[String]) -> Option<Task> {
    let named = |name: &String| {
        [
            ("ForSequenceClassification", Task::TextClassification),
            ("ForTokenClassification", Task::TokenClassification),
            ("ForImageClassification", Task::ImageClassification),
        ]
        .into_iter()
        .find(|(end, _)| name.ends_with(end))
        .map(|(_, task)| task)
    };
    let is_of_words =
        labels.iter().any(|label| label == "O") && labels.iter().any(|label| label.starts_with("I-"));
    architectures.iter().find_map(named).or(is_of_words.then_some(Task::TokenClassification))
}

/// A file that is no JSON, or of another shape than expected.
fn malformed(source: &str, error: &serde_json::Error) -> Problems {
    // serde_json says the line at the end of its message; every other message here begins with it.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    Problems(vec![Problem { place: format!("{source}:{}", error.line()), key: String::new(), message }])
}

/// The labels in order of their ids, which must be 0, 1, 2, ... without a gap.
fn labels(id2label: BTreeMap<String, String>) -> Result<Vec<String>, Vec<String>> {
    let n = id2label.len();
    let mut problems = Vec::new();
    let mut by_id: BTreeMap<usize, String> = BTreeMap::new();
    for (key, label) in id2label {
        match key.parse::<usize>() {
            Ok(id) if id < n && id.to_string() == key => {
                if by_id.values().any(|other| *other == label) {
                    problems.push(format!("the label of id {id} is used twice: `{label}`"));
                }
                by_id.insert(id, label);
            }
            _ => problems.push(format!("ids must be \"0\" to \"{}\" without a gap: `{key}`", n - 1)),
        }
    }
    if problems.is_empty() { Ok(by_id.into_values().collect()) } else { Err(problems) }
}

/// A file that is one JSON object, of which a few keys are read; everything that is wrong with them is collected.
pub(super) struct Keys<'a> {
    source: &'a str,
    keys: Map<String, Value>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Keys<'a> {
    pub(super) fn read(source: &'a str, text: &str) -> Result<Self, Problems> {
        let keys = serde_json::from_str(text).map_err(|error| malformed(source, &error))?;
        Ok(Self { source, keys, problems: Vec::new() })
    }

    pub(super) fn required<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        if self.is_left_out(key) {
            let message = format!("is missing: add it, {expected}, as the model was trained");
            self.note(key, message);
        }
        self.optional(key, expected, read)
    }

    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        if self.is_left_out(key) {
            return None;
        }
        let value = &self.keys[key];
        let read = read(value);
        if read.is_none() {
            let message = format!("must be {expected}: {value}");
            self.note(key, message);
        }
        read
    }

    /// Exports write `null` for what they do not set.
    pub(super) fn is_left_out(&self, key: &str) -> bool {
        self.keys.get(key).is_none_or(Value::is_null)
    }

    pub(super) fn note(&mut self, key: &str, message: String) {
        self.problems.push(Problem { place: self.source.to_owned(), key: key.to_owned(), message });
    }
}
