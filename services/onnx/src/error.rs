//! Two kinds of trouble, never mixed: [`Error`] keeps a package from being served at all and is read by an operator,
//! so it names the file, what was expected, what was found, and the way out; [`RunError`] belongs to one request.

use std::path::{Path, PathBuf};

/// Why a package cannot be served. The message is one sentence that an operator can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ONNX Runtime itself cannot be used.
    #[error(
        "{problem}; run `services/onnx/fetch-onnxruntime`, or point ORT_DYLIB_PATH or the setting `onnxruntime` at a libonnxruntime.so of version {} or newer",
        crate::library::OLDEST
    )]
    Library {
        /// What is wrong, with the path that was tried.
        problem: String,
    },
    /// [`crate::init`] was not called before a model was loaded.
    #[error("ONNX Runtime is not loaded: call `nanogrid_onnx::init` before loading a model")]
    NotInitialised,
    /// `expert.toml` or `version.toml` is wrong.
    #[error(transparent)]
    Manifest(#[from] nanogrid_settings::Error),
    /// A file of the package is missing, unreadable, or not what its manifest says.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Expected, found, and the way out.
        problem: String,
    },
    /// The graph does not fit its manifest, its labels or its task.
    #[error("{}: {problem}", path.display())]
    Graph {
        /// The model file.
        path: PathBuf,
        /// Expected, found, and the way out.
        problem: String,
    },
}

impl Error {
    pub(crate) fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::File { path: path.as_ref().to_path_buf(), problem: problem.into() }
    }

    pub(crate) fn graph(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Graph { path: path.as_ref().to_path_buf(), problem: problem.into() }
    }
}

/// Why one request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The queue is full: a healthy expert saying no. Try again later, or elsewhere.
    #[error("the queue is full: {capacity} jobs are waiting")]
    Overloaded {
        /// How many jobs the queue holds.
        capacity: usize,
    },
    /// The deadline passed while the job was waiting or running.
    #[error("the deadline passed before the model answered")]
    DeadlineExceeded,
    /// The worker threads have ended.
    #[error("the model is closed")]
    Closed,
    /// The request does not fit the model; the same request will never succeed.
    #[error("{0}")]
    Invalid(String),
    /// The model itself failed.
    #[error("{0}")]
    Failed(String),
}
