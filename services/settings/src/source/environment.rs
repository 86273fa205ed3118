//! The environment as a layer of settings: `NANOGRID__SERVER__MAX_MESSAGE` is `server.max-message`.
//!
//! The crate's own environment source forgets the name of the variable, which is what a person must mend.

use std::{collections::HashMap, ffi::OsString};

use config::{ConfigError, Source, Value};

use crate::{Problem, Problems};

const PREFIX: &str = "NANOGRID__";
const SEPARATOR: &str = "__";

#[derive(Clone, Debug)]
pub(super) struct Environment {
    values: HashMap<String, Value>,
}

impl Environment {
    pub(super) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, Problems> {
        let mut values = HashMap::new();
        let mut problems = Vec::new();
        for (name, value) in variables {
            // A name that is not Unicode is not ours.
            let Some(name) = name.to_str() else { continue };
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let place = format!("environment variable {name}");
            let refused = |message: &str| Problem {
                place: place.clone(),
                key: String::new(),
                message: message.to_owned(),
            };
            match (key(path), value.into_string()) {
                (None, _) => problems.push(refused("unknown key, expected NANOGRID__SECTION__KEY")),
                (_, Err(_)) => problems.push(refused("must be valid Unicode")),
                (Some(key), Ok(value)) => {
                    values.insert(key, Value::new(Some(&place), value));
                }
            }
        }
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        if problems.is_empty() { Ok(Self { values }) } else { Err(Problems(problems)) }
    }
}

/// Brackets and dots are refused: the crate would read them as indices and paths, and make room for the index.
fn key(path: &str) -> Option<String> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let mut words =
        path.split(SEPARATOR).map(|word| is_word(word).then(|| word.to_lowercase().replace('_', "-")));
    words.try_fold(String::new(), |key, word| {
        let word = word?;
        Some(if key.is_empty() { word } else { format!("{key}.{word}") })
    })
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<HashMap<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}
