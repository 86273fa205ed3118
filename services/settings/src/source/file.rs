//! A TOML file as a layer of settings. The crate's own file source forgets the lines, which is what a person looks for.

use std::collections::HashMap;

use config::{ConfigError, Source, Value, ValueKind};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Problem, Problems, document};

#[derive(Clone, Debug)]
pub(super) struct File {
    values: HashMap<String, Value>,
}

impl File {
    pub(super) fn parse(source: &str, text: &str) -> Result<Self, Problems> {
        let root = document::syntax(source, text)?;
        let place = |offset| format!("{source}:{}", document::line_of(text, offset));
        let odd: Vec<_> = root.keys().filter(|key| !is_bare(key.get_ref())).collect();
        if odd.is_empty() {
            return Ok(Self { values: table(&root, &place) });
        }
        // The crate would read `a.b` and `a[9]` as paths, and make room for the index.
        let problem = |key: &&Spanned<_>| Problem {
            place: place(key.span().start),
            key: format!("`{}`", key.get_ref()),
            message: "unknown key".to_owned(),
        };
        Err(Problems(odd.iter().map(problem).collect()))
    }
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn table(entries: &DeTable<'_>, place: &impl Fn(usize) -> String) -> HashMap<String, Value> {
    entries.iter().map(|(key, entry)| (key.get_ref().to_string(), value(entry, place))).collect()
}

fn value(spanned: &Spanned<DeValue<'_>>, place: &impl Fn(usize) -> String) -> Value {
    let kind = match spanned.get_ref() {
        DeValue::Table(entries) => table(entries, place).into(),
        DeValue::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(|element| value(element, place)).collect();
            elements.into()
        }
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Boolean(value) => ValueKind::Boolean(*value),
        // As text, as from the environment: one reading of numbers, which refuses 1.5 where the crate would round it.
        DeValue::Integer(number) => ValueKind::String(number.to_string()),
        DeValue::Float(number) => ValueKind::String(number.to_string()),
        DeValue::Datetime(time) => ValueKind::String(time.to_string()),
    };
    Value::new(Some(&place(spanned.span().start)), kind)
}

impl Source for File {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<HashMap<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}
