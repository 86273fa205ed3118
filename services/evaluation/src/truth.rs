//! A row of data, and what an expert says to it.

/// One row: what an expert is asked, and what it should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    /// The text; or where the input is a file, its path.
    pub input: String,
    /// What is right.
    pub truth: Truth,
}

/// What is right about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// One label.
    Label(String),
    /// Each of these labels and no other; sorted, none twice, perhaps none at all.
    Labels(Vec<String>),
    /// These spans and no others.
    Spans(Vec<Span>),
    /// This text, such as a translation; another may be as good.
    Text(String),
}

/// What an expert says to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One label; `None` when it is not sure enough of any.
    Label(Option<String>),
    /// Each of these labels.
    Labels(Vec<String>),
    /// These spans.
    Spans(Vec<Span>),
    /// A text.
    Text(String),
}

/// A part of a text, by bytes of its UTF-8, end exclusive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
    /// What it is.
    pub entity: String,
}

/// `column` is where it stands.
pub(crate) fn text(text: &str, column: &str) -> Result<Truth, String> {
    if text.trim().is_empty() {
        Err(format!("`{column}` is empty"))
    } else {
        Ok(Truth::Text(text.to_owned()))
    }
}

/// As a set.
pub(crate) fn labels(mut labels: Vec<String>) -> Truth {
    labels.sort_unstable();
    labels.dedup();
    Truth::Labels(labels)
}

/// As a set.
pub(crate) fn spans(mut spans: Vec<Span>) -> Truth {
    spans.sort_unstable();
    spans.dedup();
    Truth::Spans(spans)
}
