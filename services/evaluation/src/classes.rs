//! Labels as numbers, so that counting is cheap.

use std::collections::HashMap;

/// A class has counters for every resample; with more of them the memory would grow with the file.
const MOST: usize = 4096;

/// The labels seen so far.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
}

/// Whoever sees so many labels reads a column that holds none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {MOST} different labels: are these labels? e.g. `{example}`")]
pub struct TooManyLabels {
    /// The last one.
    pub example: String,
}

impl Classes {
    pub(crate) fn number(&mut self, name: &str) -> Result<usize, TooManyLabels> {
        if let Some(known) = self.by_name.get(name) {
            return Ok(*known);
        }
        if self.names.len() == MOST {
            return Err(TooManyLabels { example: name.chars().take(80).collect() });
        }
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}
