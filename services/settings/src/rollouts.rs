//! `[rollouts]`: where rollouts outlive the router, and how often it looks at them.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use crate::setting;

/// Where rollouts are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum RolloutHome {
    /// `state = ""`: they end with the router.
    Nowhere,
    /// `rollouts.state`: a file, of one router.
    File(PathBuf),
    /// `[rollouts.kubernetes]`: objects, of all replicas of a router.
    Kubernetes(KubernetesSettings),
}

/// `[rollouts.kubernetes]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KubernetesSettings {
    /// `name`: of the Lease that says who decides, and what the names of the ConfigMaps begin with. Routers with the same name
    /// in the same namespace try versions together.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// `namespace`: absent = that of the service account, or of the kubeconfig's context.
    #[serde(deserialize_with = "namespace")]
    pub namespace: Option<String>,
    /// `kubeconfig`: how the API is reached from outside of the cluster; absent = by the pod's service account.
    #[serde(deserialize_with = "setting::path")]
    pub kubeconfig: Option<PathBuf>,
    /// `lease-duration`: after so long without a sign of life somebody else decides.
    #[serde(deserialize_with = "setting::duration_above_zero")]
    pub lease_duration: Duration,
    /// `renew-deadline`: after so long without having been heard by the API, the one that decides stops deciding.
    #[serde(deserialize_with = "setting::duration_above_zero")]
    pub renew_deadline: Duration,
    /// `retry-period`: between two signs of life.
    #[serde(deserialize_with = "setting::duration_above_zero")]
    pub retry_period: Duration,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            name: "rollouts".to_owned(),
            namespace: None,
            kubeconfig: None,
            // As Kubernetes' own controllers have it.
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct RawRollouts {
    state: Option<PathBuf>,
    #[serde(deserialize_with = "kubernetes")]
    kubernetes: Option<KubernetesSettings>,
    #[serde(deserialize_with = "setting::duration_above_zero")]
    pub(crate) tick: Duration,
}

impl Default for RawRollouts {
    fn default() -> Self {
        Self { state: None, kubernetes: None, tick: Duration::from_secs(1) }
    }
}

impl RawRollouts {
    pub(crate) fn home(self) -> RolloutHome {
        match (self.kubernetes, self.state) {
            (Some(kubernetes), _) => RolloutHome::Kubernetes(kubernetes),
            (None, Some(state)) if state.as_os_str().is_empty() => RolloutHome::Nowhere,
            (None, state) => RolloutHome::File(state.unwrap_or_else(|| "rollouts.json".into())),
        }
    }
}

/// `[rollouts]`, with the rule between its values.
pub(crate) fn rollouts<'de, D: Deserializer<'de>>(value: D) -> Result<RawRollouts, D::Error> {
    let rollouts = RawRollouts::deserialize(value)?;
    let state = rollouts.state.as_ref().filter(|state| !state.as_os_str().is_empty());
    if let (Some(state), Some(_)) = (state, &rollouts.kubernetes) {
        return Err(D::Error::custom(format!(
            "`state` is a file of one router and `kubernetes` is of many: keep one of them, or set `state` to \"\": `{}`",
            state.display()
        )));
    }
    Ok(rollouts)
}

/// `[rollouts.kubernetes]`, with the rule between its values.
fn kubernetes<'de, D: Deserializer<'de>>(value: D) -> Result<Option<KubernetesSettings>, D::Error> {
    let settings = KubernetesSettings::deserialize(value)?;
    let KubernetesSettings { lease_duration, renew_deadline, retry_period, .. } = settings;
    if lease_duration.subsec_nanos() != 0 {
        return Err(D::Error::custom(format!("`lease-duration` must be whole seconds: {lease_duration:?}")));
    }
    // Else two could decide at the same time, or one would give up before it has tried twice.
    if !(retry_period < renew_deadline && renew_deadline < lease_duration) {
        return Err(D::Error::custom(format!(
            "`retry-period` must be below `renew-deadline`, and that below `lease-duration`: \
             {retry_period:?}, {renew_deadline:?}, {lease_duration:?}"
        )));
    }
    Ok(Some(settings))
}

/// Names of experts are appended to it.
fn name<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let name = String::deserialize(value)?;
    if is_label(&name) { Ok(name) } else { Err(D::Error::custom(MUST_BE_LABEL)) }
}

fn namespace<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    let namespace = String::deserialize(value)?;
    match namespace.as_str() {
        "" => Ok(None),
        _ if is_label(&namespace) => Ok(Some(namespace)),
        _ => Err(D::Error::custom(MUST_BE_LABEL)),
    }
}

const MUST_BE_LABEL: &str =
    "must be lower-case letters, digits and inner hyphens, at most 63, as Kubernetes wants it";

/// RFC 1123, as Kubernetes checks it.
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
