//! Settings of the router: `[server]`, `[telemetry]`, `[grid]`, `[classifier]` and `[request]`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{Error, ServerSettings, TelemetrySettings, source};

/// What `nanogrid-router` reads.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct RouterSettings {
    /// `[server]`
    pub server: ServerSettings,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// `grid.file`: experts, versions, endpoints.
    pub grid_file: PathBuf,
    /// `grid.reload-every`: how often the grid file is looked at for changes.
    pub reload_every: Duration,
    /// `classifier.package`: its folder; written as an empty text = none, every request then names its experts.
    pub classifier: Option<PathBuf>,
    /// `classifier.limit`: an answer later than this counts as none.
    pub classify_limit: Duration,
    /// `classifier.onnxruntime`: the ONNX Runtime library; absent = found by itself.
    pub onnxruntime: Option<PathBuf>,
    /// `request.max-text-bytes`
    pub max_text_bytes: usize,
    /// `request.max-media-bytes`: images and audio.
    pub max_media_bytes: usize,
    /// `request.default-deadline`: for a client that sends none.
    pub default_deadline: Duration,
    /// `request.max-deadline`: whatever a client sends.
    pub max_deadline: Duration,
    /// `request.max-experts`: asked for one request, unless it names them.
    pub max_experts: usize,
}

impl RouterSettings {
    /// Defaults, overridden by `file`, overridden by the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        source::load(file)
    }
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self::try_from(Raw::default()).expect("the defaults are within their limits, see the test")
    }
}

/// The tables as they are written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Raw {
    server: ServerSettings,
    telemetry: TelemetrySettings,
    grid: RawGrid,
    classifier: RawClassifier,
    request: RawRequest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawGrid {
    file: PathBuf,
    #[serde(with = "humantime_serde")]
    reload_every: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawClassifier {
    package: PathBuf,
    #[serde(with = "humantime_serde")]
    limit: Duration,
    onnxruntime: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawRequest {
    max_text_bytes: usize,
    max_media_bytes: usize,
    #[serde(with = "humantime_serde")]
    default_deadline: Duration,
    #[serde(with = "humantime_serde")]
    max_deadline: Duration,
    max_experts: usize,
}

impl Default for RawGrid {
    fn default() -> Self {
        Self { file: "grid.toml".into(), reload_every: Duration::from_secs(1) }
    }
}

impl Default for RawClassifier {
    fn default() -> Self {
        Self { package: "router/model/1".into(), limit: Duration::from_millis(20), onnxruntime: None }
    }
}

impl Default for RawRequest {
    fn default() -> Self {
        Self {
            max_text_bytes: 64 << 10,
            max_media_bytes: 16 << 20,
            default_deadline: Duration::from_secs(1),
            max_deadline: Duration::from_secs(10),
            max_experts: 3,
        }
    }
}

impl TryFrom<Raw> for RouterSettings {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let Raw { server, telemetry, grid, classifier, request } = raw;
        Ok(Self {
            server,
            telemetry,
            grid_file: grid.file,
            reload_every: grid.reload_every,
            classifier: Some(classifier.package).filter(|package| !package.as_os_str().is_empty()),
            classify_limit: classifier.limit,
            onnxruntime: classifier.onnxruntime,
            max_text_bytes: request.max_text_bytes,
            max_media_bytes: request.max_media_bytes,
            default_deadline: request.default_deadline,
            max_deadline: request.max_deadline,
            max_experts: request.max_experts,
        })
    }
}
