//! Settings of the router: `[server]`, `[telemetry]`, `[grid]`, `[classifier]`, `[escalation]`, `[request]`, `[admission]`, `[faults]`,
//! `[rollouts]` and `[shadow]`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    Error, Escalation, ExpertName, RolloutHome, ServerSettings, TelemetrySettings,
    escalation::escalation,
    rollouts::{RawRollouts, rollouts},
    setting, source,
};

/// What `nanogrid-router` reads.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Raw")]
pub struct RouterSettings {
    /// `[server]`
    pub server: ServerSettings,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// `grid.file`: experts, versions, endpoints.
    pub grid_file: PathBuf,
    /// `grid.reload-every`: how often the grid file is looked at for changes.
    pub reload_every: Duration,
    /// `classifier.package`: its folder; an empty text = none, and every request must name its experts.
    pub classifier: Option<PathBuf>,
    /// `classifier.alpha`: the share of requests that may miss an expert they are for; one that the package has a promise for.
    pub classify_alpha: f32,
    /// `classifier.optional`: experts that the classifier knows and the grid may lack.
    pub classify_optional: Vec<ExpertName>,
    /// `classifier.limit`: an answer that took longer than this counts as none.
    pub classify_limit: Duration,
    /// `classifier.onnxruntime`: the ONNX Runtime library; absent = found by itself.
    pub onnxruntime: Option<PathBuf>,
    /// `[escalation]`: whom requests go to that the classifier finds nobody for; absent = nobody.
    pub escalation: Option<Escalation>,
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
    /// `admission.max-in-flight`: requests answered at the same time; further ones are refused.
    pub max_in_flight: usize,
    /// `admission.max-bytes`: of all requests being read and answered; at least one of the largest always fits.
    pub max_bytes_in_flight: usize,
    /// `rollouts.state` or `[rollouts.kubernetes]`: where rollouts outlive the router.
    pub rollouts: RolloutHome,
    /// `rollouts.tick`: between two looks at what speaks against a canary; a rollback is at most as late.
    pub rollout_tick: Duration,
    /// `faults.allowed`: may operators make calls fail on purpose?
    pub faults_allowed: bool,
    /// `shadow.keep-payload`: may disagreements between versions be kept with what the client sent?
    pub keep_shadow_payload: bool,
}

impl RouterSettings {
    /// Defaults, overridden by `file`, overridden by the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        source::load(file)
    }
}

impl Default for RouterSettings {
    fn default() -> Self {
        Raw::default().into()
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
    #[serde(deserialize_with = "escalation")]
    escalation: Option<Escalation>,
    #[serde(deserialize_with = "request")]
    request: RawRequest,
    admission: RawAdmission,
    faults: RawFaults,
    #[serde(deserialize_with = "rollouts")]
    rollouts: RawRollouts,
    shadow: RawShadow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawGrid {
    file: PathBuf,
    #[serde(deserialize_with = "setting::duration_above_zero")]
    reload_every: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawClassifier {
    #[serde(deserialize_with = "setting::path")]
    package: Option<PathBuf>,
    #[serde(deserialize_with = "setting::between_0_and_1")]
    alpha: f32,
    #[serde(deserialize_with = "setting::experts")]
    optional: Vec<ExpertName>,
    #[serde(deserialize_with = "setting::duration_above_zero")]
    limit: Duration,
    #[serde(deserialize_with = "setting::path")]
    onnxruntime: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawRequest {
    #[serde(deserialize_with = "setting::at_least_one")]
    max_text_bytes: NonZeroUsize,
    #[serde(deserialize_with = "setting::at_least_one")]
    max_media_bytes: NonZeroUsize,
    #[serde(deserialize_with = "setting::duration_above_zero")]
    default_deadline: Duration,
    #[serde(deserialize_with = "setting::duration_above_zero")]
    max_deadline: Duration,
    #[serde(deserialize_with = "setting::at_least_one")]
    max_experts: NonZeroUsize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawAdmission {
    #[serde(deserialize_with = "setting::at_least_one")]
    max_in_flight: NonZeroUsize,
    #[serde(deserialize_with = "setting::at_least_one")]
    max_bytes: NonZeroUsize,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawFaults {
    allowed: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawShadow {
    keep_payload: bool,
}

impl Default for RawAdmission {
    fn default() -> Self {
        // Ten milliseconds each at a hundred thousand requests a second: more only wait for each other.
        // Sixteen of the largest images; a thousand texts are a hundredth of it.
        Self { max_in_flight: setting::limit(1024), max_bytes: setting::limit(256 << 20) }
    }
}

impl Default for RawGrid {
    fn default() -> Self {
        Self { file: "grid.toml".into(), reload_every: Duration::from_secs(1) }
    }
}

impl Default for RawClassifier {
    fn default() -> Self {
        Self {
            package: Some("router/model/4".into()),
            alpha: 0.02,
            optional: Vec::new(),
            // It takes microseconds: only a machine that is far too busy makes it late, not one that is for a moment.
            limit: Duration::from_millis(100),
            onnxruntime: None,
        }
    }
}

impl Default for RawRequest {
    fn default() -> Self {
        Self {
            max_text_bytes: setting::limit(64 << 10),
            max_media_bytes: setting::limit(16 << 20),
            default_deadline: Duration::from_secs(1),
            max_deadline: Duration::from_secs(10),
            max_experts: setting::limit(3),
        }
    }
}

/// `[request]`, with the rule between its values.
fn request<'de, D: Deserializer<'de>>(value: D) -> Result<RawRequest, D::Error> {
    let request = RawRequest::deserialize(value)?;
    let RawRequest { default_deadline, max_deadline, .. } = request;
    if default_deadline > max_deadline {
        let message = format!(
            "`default-deadline` must not be above `max-deadline`, {max_deadline:?}: {default_deadline:?}"
        );
        return Err(D::Error::custom(message));
    }
    Ok(request)
}

impl From<Raw> for RouterSettings {
    fn from(raw: Raw) -> Self {
        let Raw {
            server,
            telemetry,
            grid,
            classifier,
            escalation,
            request,
            admission,
            faults,
            rollouts,
            shadow,
        } = raw;
        Self {
            server,
            telemetry,
            grid_file: grid.file,
            reload_every: grid.reload_every,
            classifier: classifier.package,
            classify_alpha: classifier.alpha,
            classify_optional: classifier.optional,
            classify_limit: classifier.limit,
            onnxruntime: classifier.onnxruntime,
            escalation,
            max_text_bytes: request.max_text_bytes.get(),
            max_media_bytes: request.max_media_bytes.get(),
            default_deadline: request.default_deadline,
            max_deadline: request.max_deadline,
            max_experts: request.max_experts.get(),
            max_in_flight: admission.max_in_flight.get(),
            max_bytes_in_flight: admission.max_bytes.get(),
            rollout_tick: rollouts.tick,
            rollouts: rollouts.home(),
            faults_allowed: faults.allowed,
            keep_shadow_payload: shadow.keep_payload,
        }
    }
}
