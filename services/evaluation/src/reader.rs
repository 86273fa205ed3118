//! Rows of a file, one at a time.

use std::io::{self, BufRead};

use crate::{
    Format, Layout, Row, Truth, json,
    lines::Lines,
    tsv::{self, Header},
};

/// Reads rows as they are asked for.
pub struct Reader<R> {
    lines: Lines<R>,
    layout: Layout,
    header: Option<Header>,
    /// Whether the rows have several labels each; said by the separator, else by the first row.
    several: Option<bool>,
    is_over: bool,
}

/// What cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// One row; the next ones may be well.
    #[error("{problem}")]
    Row {
        /// Its line.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The first line does not name the columns that are needed.
    #[error("{problem}")]
    Header {
        /// What is missing, and what is there.
        problem: String,
    },
    /// The file itself, behind this line.
    #[error("{source}")]
    File {
        /// The last line that was read.
        line: u64,
        /// Why.
        source: io::Error,
    },
}

impl<R: BufRead> Reader<R> {
    /// Rows of `source`, which `layout` describes.
    pub fn new(source: R, layout: Layout) -> Self {
        let several = layout.separator.is_some().then_some(true);
        Self { lines: Lines::new(source), layout, header: None, several, is_over: false }
    }

    /// `None` for a line that holds no row: the header, an empty line, or one of those that are not wanted.
    fn read(&mut self) -> Result<Option<Row>, Refused> {
        let before = self.lines.number();
        let line = match self.lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => {
                self.is_over = true;
                return Ok(None);
            }
            Err(source) => {
                self.is_over = true;
                return Err(Refused::File { line: before, source });
            }
        };
        let number = before + 1;
        let wrong = |problem| Refused::Row { line: number, problem };
        if self.layout.format == Format::Tsv && self.header.is_none() {
            // Without it no line means anything.
            self.is_over = true;
            let header = line.and_then(|line| Header::read(line, &self.layout));
            self.header = Some(header.map_err(|problem| Refused::Header { problem })?);
            self.is_over = false;
            return Ok(None);
        }
        let line = line.map_err(wrong)?;
        if line.trim().is_empty() {
            return Ok(None);
        }
        let found = match &self.header {
            Some(header) => tsv::row(line, header, &self.layout),
            None => json::row(line, &self.layout),
        };
        let Some((input, truth)) = found.map_err(wrong)? else { return Ok(None) };
        if input.trim().is_empty() {
            return Err(wrong(format!("`{}` is empty", self.layout.text)));
        }
        let truth = self.alike(truth).map_err(wrong)?;
        Ok(Some(Row { line: number, input, truth }))
    }

    /// Whether there may be several labels is a property of the file, and not of a row.
    fn alike(&mut self, truth: Truth) -> Result<Truth, String> {
        let is_list = match &truth {
            Truth::Spans(_) | Truth::Text(_) => return Ok(truth),
            Truth::Labels(_) => true,
            Truth::Label(_) => false,
        };
        match (*self.several.get_or_insert(is_list), truth) {
            (true, Truth::Label(label)) => Ok(Truth::Labels(vec![label])),
            (false, Truth::Labels(_)) => {
                Err(format!("`{}` is a list, and that of the first row is one label", self.layout.label))
            }
            (_, truth) => Ok(truth),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Row, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            if let Some(found) = self.read().transpose() {
                return Some(found);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
