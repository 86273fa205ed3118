//! What is wrong with a file or a setting: where, which key, which value, and what would be right.

use std::{fmt, io, path::PathBuf};

/// Why settings, a grid file or a manifest could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One or more values are wrong; one line each.
    #[error(transparent)]
    Invalid(#[from] Problems),
}

impl Error {
    pub(crate) fn one(place: &str, message: String) -> Self {
        Self::Invalid(Problems(vec![Problem { place: place.to_owned(), key: String::new(), message }]))
    }
}

/// Everything that is wrong in one place, at least one; displayed one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// One wrong value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written: `grid.toml:12`, or an environment variable.
    pub place: String,
    /// What it belongs to, e.g. ``expert `intent`: version 1: weight``; empty when the whole file is meant.
    pub key: String,
    /// What would be right, and the value where there is one.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}
