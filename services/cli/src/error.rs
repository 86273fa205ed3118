//! How a command ends: an exit code that scripts can use, or one sentence that says what, where, and the way out.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use tonic::Code;

/// What the exit code says; the numbers are documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Partial = 3,
    NoExpert = 4,
    TakenBack = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no grid at {addr}: start one with `nanogrid up`, or name another with {flag}")]
    NoGrid { addr: String, flag: &'static str },
    #[error("what answers at {addr} is no nanogrid router ({message}): name another with {flag}")]
    NotAGrid { addr: String, flag: &'static str, message: String },
    #[error("{flag} must be host:port, e.g. 127.0.0.1:8001: `{addr}`")]
    Address { addr: String, flag: &'static str },
    #[error("no answer from {addr} within {limit:?}: `nanogrid experts` shows what is ready")]
    TimedOut { addr: String, limit: Duration },
    #[error("{message} ({code:?}, from {addr})")]
    Refused { addr: String, code: Code, message: String },
    #[error("there is no expert `{name}` in this grid: it has {known}")]
    UnknownExpert { name: String, known: String },
    #[error("{what} {}: {source}", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is larger than {limit} bytes, more than any grid takes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{} is not UTF-8 text (byte {at}): give text, or use --image or --audio for other files", path.display())]
    NotText { path: PathBuf, at: usize },
    #[error("no expert in {}: {problem}; name another catalog with --catalog", path.display())]
    Catalog { path: PathBuf, problem: String },
    #[error("{} is missing: it belongs beside {}; build it with `cargo build --workspace`", path.display(), beside.display())]
    Program { path: PathBuf, beside: PathBuf },
    #[error(
        "a grid already runs from {}: `nanogrid up` with pid {pid}, answering on {addr}; stop it with `nanogrid down`, \
         or give this one its own folder and address with --run and --addr", run.display()
    )]
    AlreadyUp { run: PathBuf, pid: u32, addr: SocketAddr },
    #[error("another `nanogrid up` is just starting from {}: wait for it, or choose another folder with --run", run.display())]
    Starting { run: PathBuf },
    #[error("the parent with pid {parent} has ended")]
    Orphan { parent: u32 },
    #[error("{addr} is taken by {owner}: stop it, or choose another address with {flag}")]
    Taken { addr: SocketAddr, owner: String, flag: &'static str },
    #[error("cannot listen on {addr}: {source}; choose another address with {flag}")]
    Listen { addr: SocketAddr, source: io::Error, flag: &'static str },
    #[error("no free port between {first} and {last} on this machine")]
    NoPort { first: u16, last: u16 },
    #[error("the grid ended before it was ready; {} says why:\n{tail}", log.display())]
    EndedEarly { log: PathBuf, tail: String },
    #[error("the router is not ready: {reason}")]
    NotReady { reason: String },
    #[error("no grid runs from {}: nothing to stop; name another folder with --run", run.display())]
    NotUp { run: PathBuf },
    #[error("the grid with pid {pid} has not ended within {limit:?}; its log is in {}", run.display())]
    WillNotEnd { pid: u32, limit: Duration, run: PathBuf },
    #[error(
        "nothing to check: name a grid file with --grid, a catalog with --catalog, or folders of packages"
    )]
    NothingToCheck,
    #[error("{}:{line}: {problem}; mend it, or go on without such rows with --skip-bad", path.display())]
    Row { path: PathBuf, line: u64, problem: String },
    #[error("{}: {problem}", path.display())]
    Data { path: PathBuf, problem: String },
    #[error("{problem}")]
    Package { problem: String },
    #[error("{what} cannot become an expert:\n  {}", problems.join("\n  "))]
    NoExpert { what: String, problems: Vec<String> },
    #[error("{} is there already: choose another name, or add a version to it with `nanogrid expert add`", path.display())]
    Exists { path: PathBuf },
    #[error(transparent)]
    Onnx(#[from] nanogrid_onnx::Error),
    #[error("the answer cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot {what}: {source}")]
    System { what: &'static str, source: io::Error },
}

impl Error {
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// A status from the router, or from tonic in place of one.
    pub(crate) fn status(addr: &str, flag: &'static str, status: tonic::Status) -> Self {
        let addr = addr.to_owned();
        let message = status.message().to_owned();
        // Every router has these calls, so what does not is something else.
        if status.code() == Code::Unimplemented {
            return Self::NotAGrid { addr, flag, message };
        }
        Self::Refused { addr, code: status.code(), message }
    }
}
