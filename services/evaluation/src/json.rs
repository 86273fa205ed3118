//! JSON lines: `{"text": .., "label": ..}` for labels; `{"tokens": [..], "tags": [..]}` or `{"text": .., "spans": [..]}` for
//! spans; `{"text": .., "reference": ..}` for texts.

use serde_json::{Map, Value};

use crate::{Layout, Span, Truth, Wanted, bio, spans, truth};

/// The text and the truth about it; `None` for a row that is not wanted.
pub(crate) fn row(line: &str, layout: &Layout) -> Result<Option<(String, Truth)>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("is no JSON object: {error}"))?;
    let Value::Object(object) = value else { return Err("is no JSON object".to_owned()) };
    for (key, value) in &layout.only {
        if plain(&object, key)? != *value {
            return Ok(None);
        }
    }
    match layout.wanted {
        Wanted::Labels => Ok(Some((text(&object, layout)?, labels(&object, layout)?))),
        Wanted::Text => {
            let text = text(&object, layout)?;
            let value = get(&object, &layout.label)?;
            let reference = value
                .as_str()
                .ok_or_else(|| format!("`{}` must be a text, and is {}", layout.label, kind(value)))?;
            Ok(Some((text, truth::text(reference, &layout.label)?)))
        }
        Wanted::Spans => {
            let (text, found) = if object.contains_key(TAGS) {
                let given = object.contains_key(&layout.text).then(|| text(&object, layout)).transpose()?;
                bio::read(given, &strings(&object, TOKENS)?, &strings(&object, TAGS)?)?
            } else {
                let text = text(&object, layout)?;
                let found = spans::read(&object, &text, layout.offsets)?;
                (text, found)
            };
            let renamed = found
                .into_iter()
                .map(|span| Span { entity: layout.renamed(&span.entity), ..span })
                // As in the tags: outside of every span.
                .filter(|span| span.entity != bio::OUTSIDE);
            Ok(Some((text, truth::spans(renamed.collect()))))
        }
    }
}

const TOKENS: &str = "tokens";
const TAGS: &str = "tags";

/// Without a text of its own, a row is its tokens with blanks between them.
fn text(object: &Map<String, Value>, layout: &Layout) -> Result<String, String> {
    if !object.contains_key(&layout.text) && object.contains_key(TOKENS) {
        return Ok(strings(object, TOKENS)?.join(" "));
    }
    let value = get(object, &layout.text)?;
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| format!("`{}` must be a text, and is {}", layout.text, kind(value)))
}

fn labels(object: &Map<String, Value>, layout: &Layout) -> Result<Truth, String> {
    let key = &layout.label;
    let value = get(object, key)?;
    if let Some(items) = value.as_array() {
        let labels = items.iter().map(|item| {
            let label =
                word(item).ok_or_else(|| format!("`{key}` must hold labels, and holds {}", kind(item)))?;
            Ok(layout.renamed(&label))
        });
        return Ok(truth::labels(labels.collect::<Result<_, String>>()?));
    }
    match word(value).ok_or_else(|| format!("`{key}` must be a label, and is {}", kind(value)))? {
        written if layout.separator.is_some() => Ok(truth::labels(layout.split(&written))),
        written if written.trim().is_empty() => Err(format!("`{key}` is empty")),
        written => Ok(Truth::Label(layout.renamed(&written))),
    }
}

/// A label may be written as a number.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn plain(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    let value = get(object, key)?;
    word(value).ok_or_else(|| format!("`{key}` is {}, which is no single value", kind(value)))
}

fn strings(object: &Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let wrong = |found: &Value| format!("`{key}` must be a list of texts, and is or holds {}", kind(found));
    let value = get(object, key)?;
    let items = value.as_array().ok_or_else(|| wrong(value))?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
}

fn get<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a Value, String> {
    object.get(key).ok_or_else(|| {
        let there: Vec<String> = object.keys().map(|key| format!("`{key}`")).collect();
        format!(
            "has no `{key}`: {}",
            if there.is_empty() { "it is empty".to_owned() } else { there.join(", ") }
        )
    })
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
