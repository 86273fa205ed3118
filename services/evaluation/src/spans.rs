//! Spans by their offsets, under the names that files use: `spans`, `entities` or `slots`, each with `start`, `end` and one
//! of `entity`, `type`, `slot`, `label`.

use serde_json::{Map, Value};

use crate::{Offsets, Span, json::kind};

const LISTS: [&str; 3] = ["spans", "entities", "slots"];
const NAMES: [&str; 4] = ["entity", "type", "slot", "label"];

pub(crate) fn read(object: &Map<String, Value>, text: &str, offsets: Offsets) -> Result<Vec<Span>, String> {
    let found = LISTS.iter().find_map(|key| object.get(*key));
    let Some(found) = found else {
        return Err(
            "has no spans: needed are `tokens` and `tags`, or `spans` (also called `entities` or `slots`)"
                .to_owned(),
        );
    };
    let Value::Array(items) = found else {
        return Err(format!("its spans must be a list, and are {}", kind(found)));
    };
    items
        .iter()
        .enumerate()
        .map(|(idx, item)| span(item, text, offsets).map_err(|why| at(idx, &why)))
        .collect()
}

fn at(idx: usize, why: &str) -> String {
    format!("span {}: {why}", idx + 1)
}

fn span(item: &Value, text: &str, offsets: Offsets) -> Result<Span, String> {
    let entity = NAMES.iter().find_map(|key| item.get(*key)).and_then(Value::as_str);
    let entity = entity.ok_or_else(|| format!("must have one of {}, a text", NAMES.join(", ")))?;
    let offset = |key| {
        let written = item.get(key).and_then(Value::as_u64).and_then(|value| usize::try_from(value).ok());
        let written = written.ok_or_else(|| format!("`{key}` must be a whole number, at least 0"))?;
        byte(text, written, offsets).ok_or_else(|| match offsets {
            Offsets::Characters => {
                format!("`{key}` is {written}, and the text has {} characters", text.chars().count())
            }
            Offsets::Bytes => {
                format!("`{key}` is {written}, which is behind or inside of a character of the text")
            }
        })
    };
    let (start, end) = (offset("start")?, offset("end")?);
    if start >= end {
        return Err("`end` must be behind `start`".to_owned());
    }
    Ok(Span { start, end, entity: entity.to_owned() })
}

/// Where in the UTF-8 an offset is.
fn byte(text: &str, offset: usize, offsets: Offsets) -> Option<usize> {
    match offsets {
        Offsets::Bytes => text.is_char_boundary(offset).then_some(offset),
        Offsets::Characters => text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(offset),
    }
}
