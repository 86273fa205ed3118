//! Fields between tabs. There is no quoting, as in every file of this kind: a quotation mark is a quotation mark.

use crate::{Layout, Truth, Wanted, truth};

/// Where the columns are.
pub(crate) struct Header {
    n_fields: usize,
    text: usize,
    label: usize,
    /// Which column has to hold what.
    only: Vec<(usize, String)>,
}

impl Header {
    pub(crate) fn read(line: &str, layout: &Layout) -> Result<Self, String> {
        if layout.wanted == Wanted::Spans {
            return Err(
                "holds labels of whole texts, and spans are needed: give JSON lines with `tokens` and \
                        `tags`, or with `text` and `spans`"
                    .to_owned(),
            );
        }
        let names: Vec<&str> = line.split('\t').collect();
        let find = |wanted: &str| {
            names.iter().position(|name| name.trim() == wanted).ok_or_else(|| {
                let there: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                format!(
                    "the first line must name the columns, and `{wanted}` is none of them: {}",
                    there.join(", ")
                )
            })
        };
        let only = layout.only.iter().map(|(column, value)| Ok((find(column)?, value.clone())));
        Ok(Self {
            n_fields: names.len(),
            text: find(&layout.text)?,
            label: find(&layout.label)?,
            only: only.collect::<Result<_, String>>()?,
        })
    }
}

/// The text and the truth about it; `None` for a row that is not wanted.
pub(crate) fn row(line: &str, header: &Header, layout: &Layout) -> Result<Option<(String, Truth)>, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    if fields.len() != header.n_fields {
        return Err(format!(
            "has {} fields, and the first line has {}: a tab inside of a text must become a blank",
            fields.len(),
            header.n_fields
        ));
    }
    if header.only.iter().any(|(idx, value)| fields[*idx] != value) {
        return Ok(None);
    }
    let written = fields[header.label];
    let truth = if layout.wanted == Wanted::Text {
        truth::text(written, &layout.label)?
    } else if layout.separator.is_some() {
        truth::labels(layout.split(written))
    } else if written.trim().is_empty() {
        return Err(format!("`{}` is empty", layout.label));
    } else {
        Truth::Label(layout.renamed(written))
    };
    Ok(Some((fields[header.text].to_owned(), truth)))
}
