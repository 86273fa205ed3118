//! Process settings in layers: defaults, then a TOML file, then the environment (`NANOGRID__SECTION__KEY`).
//!
//! Every value carries where it was written, so that a complaint can name the line or the variable. A value that does not
//! fit is noted, taken out, and reading goes on: all problems are reported at once.

mod environment;
mod file;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Value, ValueKind};
use serde::de::DeserializeOwned;

use self::{environment::Environment, file::File};
use crate::{Error, Problem, Problems};

/// Reads settings: the defaults of `T`, overridden by `file`, overridden by `NANOGRID__SECTION__KEY`.
/// Unknown keys are refused in both.
pub fn load<T: DeserializeOwned>(file: Option<&Path>) -> Result<T, Error> {
    layered(file, std::env::vars_os())
}

/// A path from the environment, e.g. `ORT_DYLIB_PATH`; empty counts as absent.
pub fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn layered<T: DeserializeOwned>(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, Error> {
    let mut layers = Config::builder();
    if let Some(path) = file {
        let text =
            fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        layers = layers.add_source(File::parse(&path.display().to_string(), &text)?);
    }
    layers = layers.add_source(Environment::new(variables)?);
    // What a problem is blamed on that is of no single value.
    let whole = file.map_or("environment".to_owned(), |path| path.display().to_string());
    let values = layers.build().map_err(|error| Error::one(&whole, error.to_string()))?;
    Ok(checked(values.cache, &whole)?)
}

fn checked<T: DeserializeOwned>(mut values: Value, whole: &str) -> Result<T, Problems> {
    let mut problems = Vec::new();
    loop {
        let error = match T::deserialize(values.clone()) {
            Ok(settings) if problems.is_empty() => return Ok(settings),
            Ok(_) => break,
            Err(error) => error,
        };
        let Complaint { key, message } = Complaint::from(error);
        let Some(value) = take(&mut values, &key) else {
            // About values together, not about one that could be taken out.
            problems.push(Problem { place: whole.to_owned(), key, message });
            break;
        };
        let place = place(&value).unwrap_or(whole).to_owned();
        let message = if is_secret(&key) { message } else { with_value(message, value) };
        problems.push(Problem { place, message, key });
    }
    problems.sort_by(|a, b| (in_file(&a.place), &a.key).cmp(&(in_file(&b.place), &b.key)));
    Err(Problems(problems))
}

/// Where a value was written; the crate forgets it for tables, which are where their first value is.
fn place(value: &Value) -> Option<&str> {
    if let ValueKind::Table(table) = &value.kind {
        return table.values().filter_map(place).min_by_key(|place| in_file(place)).or(value.origin());
    }
    value.origin()
}

/// For sorting: the file and the line in it.
fn in_file(place: &str) -> (&str, usize) {
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    (file, line.parse().unwrap_or(0))
}

/// What the settings type says of a value.
struct Complaint {
    key: String,
    message: String,
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is open; the rest of it has no more than a text")]
impl From<ConfigError> for Complaint {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Type { key, expected, .. } => {
                Self { key: key.unwrap_or_default(), message: format!("must be {expected}") }
            }
            ConfigError::At { key, error, .. } => {
                let Self { key: inner, message } = Self::from(*error);
                let key = [key.unwrap_or_default(), inner].into_iter().filter(|key| !key.is_empty());
                Self { key: key.collect::<Vec<_>>().join("."), message }
            }
            ConfigError::NotFound(key) => Self { key, message: "missing".to_owned() },
            other => {
                let message = other.to_string();
                let (key, message) = unknown_field(&message).unwrap_or((String::new(), expected(message)));
                Self { key, message }
            }
        }
    }
}

/// `serde` puts an unknown field's name into the text of its message only.
fn unknown_field(message: &str) -> Option<(String, String)> {
    let (field, rest) = message.strip_prefix("unknown field `")?.split_once('`')?;
    Some((field.to_owned(), format!("unknown key{rest}")))
}

/// `invalid type: string "5", expected struct ServerSettings` in the words of the other messages.
fn expected(message: String) -> String {
    match message.strip_prefix("invalid type: ").and_then(|message| message.rsplit_once(", expected ")) {
        Some((_, expected)) if expected.starts_with("struct ") => "must be a table".to_owned(),
        Some((_, expected)) => format!("must be {expected}"),
        None => message,
    }
}

/// Takes the value of a dotted key out of the tree.
fn take(values: &mut Value, key: &str) -> Option<Value> {
    let ValueKind::Table(table) = &mut values.kind else { return None };
    // A list is taken as a whole: `packages[0]` is the first of `packages`.
    let (first, rest) = match key.split_once(['.', '[']) {
        Some((first, rest)) => (first, rest),
        None => (key, ""),
    };
    match table.get_mut(first)? {
        Value { kind: ValueKind::Table(_), .. } if !rest.is_empty() => take(table.get_mut(first)?, rest),
        _ => table.remove(first),
    }
}

/// Also where the key is misspelt: what was meant for `api-key` is not told to every log.
fn is_secret(key: &str) -> bool {
    key.rsplit('.').next().is_some_and(|name| name.contains("key"))
}

fn with_value(message: String, value: Value) -> String {
    match value.kind {
        ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => message,
        ValueKind::String(text) => format!("{message}: `{text}`"),
        ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_) => format!("{message}: {value}"),
    }
}
