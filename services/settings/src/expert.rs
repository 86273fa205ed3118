//! Settings of the process that hosts experts: `[server]`, `[telemetry]`, `[inference]` and the list `packages`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Error, ServerSettings, TelemetrySettings, source};

/// What `nanogrid-expert` reads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ExpertSettings {
    /// `[server]`
    pub server: ServerSettings,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// Folders of the packages to serve; in the environment separated by commas.
    pub packages: Vec<PathBuf>,
    /// `[inference]`
    pub inference: InferenceSettings,
}

/// `[inference]`: threads, queues and limits. An expert's own `expert.toml` may set tighter ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct InferenceSettings {
    /// Threads with a session each, per package.
    pub workers: NonZeroUsize,
    /// Jobs waiting per package; a full queue sheds.
    pub queue: NonZeroUsize,
    /// Most rows in one run of a model.
    pub max_batch_rows: NonZeroUsize,
    /// Most padded tokens (rows times the longest row) in one run of a model.
    pub max_batch_tokens: NonZeroUsize,
    /// Longest text of one row, in bytes.
    pub max_text_bytes: NonZeroUsize,
    /// Most rows in one request.
    pub max_rows: NonZeroUsize,
    /// Threads inside one run of a model.
    pub intra_op_threads: NonZeroUsize,
    /// The ONNX Runtime library; absent = found by itself.
    pub onnxruntime: Option<PathBuf>,
}

impl ExpertSettings {
    /// Defaults, overridden by `file`, overridden by the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        source::load(file)
    }
}

impl Default for InferenceSettings {
    fn default() -> Self {
        const fn at_least_one(n: usize) -> NonZeroUsize {
            NonZeroUsize::MIN.saturating_add(n - 1)
        }
        Self {
            workers: at_least_one(1),
            queue: at_least_one(256),
            max_batch_rows: at_least_one(32),
            max_batch_tokens: at_least_one(2048),
            max_text_bytes: at_least_one(64 << 10),
            max_rows: at_least_one(256),
            intra_op_threads: at_least_one(1),
            onnxruntime: None,
        }
    }
}
