//! What is used of a Hugging Face `config.json`. The rest of it is other people's: unknown keys are fine here.

use std::{collections::BTreeMap, num::NonZeroUsize};

use serde::Deserialize;

use super::{Activation, HfConfig};
use crate::{Problem, Problems};

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
    let is_of_words = raw.architectures.iter().any(|name| name.ends_with("ForTokenClassification"))
        || (labels.iter().any(|label| label == "O") && labels.iter().any(|label| label.starts_with("I-")));
    Ok(HfConfig { labels, text_labels, is_of_words, activation, max_tokens: raw.max_position_embeddings })
}

/// A file that is no JSON, or of another shape than expected.
pub(super) fn malformed(source: &str, error: &serde_json::Error) -> Problems {
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
