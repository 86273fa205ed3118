//! Settings of the process that hosts experts: `[server]`, `[telemetry]`, `[inference]`, `[limit]`,
//! `[repository]` and the list `packages`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error as _};

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
    /// `[limit]`
    #[serde(deserialize_with = "limit")]
    pub limit: LimitSettings,
    /// `[repository]`
    pub repository: RepositorySettings,
}

/// `[inference]`: threads, queues and limits. An expert's own `expert.toml` may set tighter ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct InferenceSettings {
    /// Threads with a session each, per package.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub workers: NonZeroUsize,
    /// Most requests waiting per package, whatever the limit; what finds no room is shed.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub queue: NonZeroUsize,
    /// Most rows in one run of a model.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_batch_rows: NonZeroUsize,
    /// Most padded tokens (rows times the longest row) in one run of a model.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_batch_tokens: NonZeroUsize,
    /// Most pixels, as the model takes them, of all images in one run of a model.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_batch_pixels: NonZeroUsize,
    /// Longest text of one row, in bytes.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_text_bytes: NonZeroUsize,
    /// Largest image file of one row, in bytes.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_image_bytes: NonZeroUsize,
    /// Most pixels of one image, width times height as its file says: what decoding it takes memory for.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max_image_pixels: NonZeroUsize,
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

/// `[limit]`: how many requests to one package are worked on at once. The number adapts; these are its bounds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitSettings {
    /// Before anything was measured; absent = two full runs for each worker.
    #[serde(deserialize_with = "setting::at_least_one_or_none")]
    pub initial: Option<NonZeroUsize>,
    /// It never falls below.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub min: NonZeroUsize,
    /// It never rises above.
    #[serde(deserialize_with = "setting::at_least_one")]
    pub max: NonZeroUsize,
    /// Once the queue no longer empties, whoever waited longer than this is shed. Where the model itself takes longer, the
    /// time grows with it.
    #[serde(deserialize_with = "setting::duration_above_zero")]
    pub target: Duration,
}

/// `[repository]`: what may become of the packages while they are served.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RepositorySettings {
    /// Whether clients may load and unload versions of the experts that were given to the process. Off, because whoever
    /// reaches the port could take an expert away.
    pub allow_changes: bool,
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
            // Ten images of 224 x 224.
            max_batch_pixels: setting::limit(512 << 10),
            max_text_bytes: setting::limit(64 << 10),
            // What the router lets through as well.
            max_image_bytes: setting::limit(16 << 20),
            // A photo of a phone, 4096 x 4096.
            max_image_pixels: setting::limit(16 << 20),
            max_rows: setting::limit(256),
            intra_op_threads: setting::limit(1),
            onnxruntime: None,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            initial: None,
            min: NonZeroUsize::MIN,
            // Two batches of 32: one runs, one waits. More in flight would only be older when its turn comes.
            max: setting::limit(64),
            target: Duration::from_millis(5),
        }
    }
}

/// `[limit]`, with the rule between its values.
fn limit<'de, D: Deserializer<'de>>(value: D) -> Result<LimitSettings, D::Error> {
    let limit = LimitSettings::deserialize(value)?;
    let LimitSettings { initial, min, max, .. } = limit;
    if min > max {
        return Err(D::Error::custom(format!("`min` must not be above `max`, {max}: {min}")));
    }
    match initial {
        Some(initial) if initial < min || initial > max => Err(D::Error::custom(format!(
            "`initial` must be between `min`, {min}, and `max`, {max}: {initial}"
        ))),
        Some(_) | None => Ok(limit),
    }
}
