//! Settings of the process that hosts experts: `[server]`, `[telemetry]`, `[inference]` and the list `packages`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Error, ServerSettings, TelemetrySettings, setting, source};

/// What `nanogrid-expert` reads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ExpertSettings {
    /// `[server]`
    pub server: ServerSettings,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// Folders of the packages to serve; in the environment separated by commas.
    #[serde(deserialize_with = "setting::paths")]
    pub packages: Vec<PathBuf>,
    /// `[inference]`
    pub inference: InferenceSettings,
}

/// `[inference]`: threads, queues and limits. An expert's own `expert.toml` may set tighter ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct InferenceSettings {
    /// Threads with a session each, per package.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub workers: NonZeroUsize,
    /// Jobs waiting per package; a full queue sheds.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub queue: NonZeroUsize,
    /// Most rows in one run of a model.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_batch_rows: NonZeroUsize,
    /// Most padded tokens (rows times the longest row) in one run of a model.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_batch_tokens: NonZeroUsize,
    /// Longest text of one row, in bytes.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_text_bytes: NonZeroUsize,
    /// Most rows in one request.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_rows: NonZeroUsize,
    /// Threads inside one run of a model.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub intra_op_threads: NonZeroUsize,
    /// The ONNX Runtime library; absent = found by itself.
    #[serde(deserialize_with = "setting::path")]
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
        Self {
            workers: setting::limit(1),
            queue: setting::limit(256),
            max_batch_rows: setting::limit(32),
            max_batch_tokens: setting::limit(2048),
            max_text_bytes: setting::limit(64 << 10),
            max_rows: setting::limit(256),
            intra_op_threads: setting::limit(1),
            onnxruntime: None,
        }
    }
}
