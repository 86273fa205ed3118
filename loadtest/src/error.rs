//! Why a run could not begin. What goes wrong during a run is data: see [`crate::record`].

use std::path::PathBuf;

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of inputs cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of a file of inputs is not what it should be.
    #[error("{}:{line}: {problem}", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Neither JSONL nor TSV.
    #[error("`{}` is neither `.jsonl` nor `.tsv`: rename it, or convert it", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// Nothing to send.
    #[error("no inputs in `{}`{}: give a file with `--input`", path.display(), of_expert(expert))]
    NoCases {
        /// The file or folder that was searched.
        path: PathBuf,
        /// The expert whose inputs were wanted.
        expert: Option<String>,
    },
    /// `--addr` is no address.
    #[error("`--addr` must look like `127.0.0.1:8001` or `http://host:port`: `{addr}`")]
    BadAddress {
        /// As given.
        addr: String,
    },
    /// Nobody listens.
    #[error("{addr} is unreachable: is it running? `nanogrid up` starts a grid")]
    Unreachable {
        /// As given.
        addr: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

fn of_expert(expert: &Option<String>) -> String {
    expert.as_ref().map(|name| format!(" for expert `{name}`")).unwrap_or_default()
}
