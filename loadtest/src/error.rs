//! Why a run could not begin. What goes wrong during a run is data: see [`crate::record`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// A program of the grid under test is not there.
    #[error("`{}` is missing: scenarios start the programs beside `{}`, `make build` builds them all", path.display(), beside.display())]
    NoProgram {
        /// Where it should be.
        path: PathBuf,
        /// This program.
        beside: PathBuf,
    },
    /// A folder or file of the grid under test cannot be written.
    #[error("cannot write `{}`", path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A process of the grid under test cannot be started, signalled or killed.
    #[error("cannot {what} `{}`", program.display())]
    Process {
        /// e.g. `start`.
        what: &'static str,
        /// Its program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A process of the grid under test has ended by itself.
    #[error("`{}` has ended by itself: {said} (`--keep` keeps its log)", program.display())]
    Ended {
        /// Its program.
        program: PathBuf,
        /// The last line of its log.
        said: String,
    },
    /// Something that should come did not come in time.
    #[error("{what}: not within {limit:?} (`--keep` keeps the logs)")]
    TooLong {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// No address for a process of the grid under test.
    #[error("no free port between {first} and {last} on this machine")]
    NoPort {
        /// The lowest that was tried.
        first: u16,
        /// The highest.
        last: u16,
    },
    /// An address was taken between being found and being used.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The grid under test does not do what it is asked for.
    #[error("{what} is refused: {reason}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The grid's own words.
        reason: String,
    },
    /// A process does not tell what it has counted.
    #[error("http://{address}/metrics cannot be read: {problem}")]
    Metrics {
        /// Of its ops side.
        address: SocketAddr,
        /// Why.
        problem: String,
    },
}

fn of_expert(expert: &Option<String>) -> String {
    expert.as_ref().map(|name| format!(" for expert `{name}`")).unwrap_or_default()
}
