//! The Kubernetes API, as far as rollouts need it. Every call is bounded in time: whoever waits here holds up decisions.

use std::{collections::BTreeMap, time::Duration};

use futures::Stream;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, Client, Config,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::watcher::{self, Event, watcher},
};
use nanogrid_settings::{ExpertName, KubernetesSettings};
use serde_json::json;

/// Which objects are ours: the value is the name that the settings give.
const LABEL: &str = "nanogrid.io/rollouts";

/// A watch is begun anew so often. When a connection dies in silence, it takes so long to notice.
const WATCH_SECONDS: u32 = 20;

/// See the module.
#[derive(Clone)]
pub(super) struct Cluster {
    objects: Api<ConfigMap>,
    leases: Api<Lease>,
    name: String,
    limit: Duration,
}

/// Why the Kubernetes API did not do something.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It is not known how to reach it.
    #[error("it is not known how to reach the Kubernetes API: {0}")]
    Unknown(String),
    /// It did not answer in time.
    #[error(
        "the Kubernetes API has not answered within {0:?}; `nanogrid rollout status` says whether it did something all the same"
    )]
    Silent(Duration),
    /// It cannot be reached, or does not work.
    #[error("the Kubernetes API does not answer: {0}")]
    Unreachable(String),
    /// It said no. Its reasons name who may not do what.
    #[error("the Kubernetes API refuses: {0}")]
    Refused(String),
    /// It does not have what is to be changed.
    #[error("the Kubernetes API does not have it: {0}")]
    Gone(String),
    /// Somebody else has changed the object.
    #[error("somebody else is changing the rollout at the same time: try again")]
    Conflict,
    /// Somebody has edited the object.
    #[error("ConfigMap `{object}` is no rollout: {reason}; delete it to begin without one")]
    Broken {
        /// Its name.
        object: String,
        /// Why not.
        reason: String,
    },
}

impl ClusterError {
    /// May the same call succeed a little later?
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Silent(_) | Self::Unreachable(_) | Self::Conflict => true,
            Self::Unknown(_) | Self::Refused(_) | Self::Gone(_) | Self::Broken { .. } => false,
        }
    }
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else { return Self::Unreachable(with_causes(&error)) };
        // So the API calls a patch whose `test` does not hold.
        let is_outdated = status.is_invalid();
        // Its answer to too many requests, which are soon fewer.
        let is_busy = status.code == 429;
        if is_outdated || status.is_conflict() || status.is_already_exists() {
            Self::Conflict
        } else if status.is_not_found() {
            Self::Gone(status.message)
        } else if (400..500).contains(&status.code) && !is_busy {
            Self::Refused(status.message)
        } else {
            Self::Unreachable(status.message)
        }
    }
}

impl From<watcher::Error> for ClusterError {
    fn from(error: watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => error.into(),
            error @ (watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion) => {
                Self::Unreachable(error.to_string())
            }
        }
    }
}

/// What the crate says first is only in which of its layers something failed.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads how the API is reached; does not speak to it yet.
    pub(super) async fn new(settings: &KubernetesSettings) -> Result<Self, ClusterError> {
        let mut config = match &settings.kubeconfig {
            Some(path) => {
                let unknown = |reason: String| ClusterError::Unknown(format!("{}: {reason}", path.display()));
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unknown(with_causes(&error)))?;
                let read = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
                read.map_err(|error| unknown(with_causes(&error)))?
            }
            None => Config::incluster().map_err(|error| {
                let reason = with_causes(&error);
                ClusterError::Unknown(format!("{reason}; outside of a cluster set `kubeconfig`"))
            })?,
        };
        // Whoever calls here tries again by himself, and better informed.
        config.default_retry = false;
        let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| ClusterError::Unknown(with_causes(&error)))?;
        Ok(Self {
            objects: Api::namespaced(client.clone(), &namespace),
            leases: Api::namespaced(client, &namespace),
            name: settings.name.clone(),
            // Two tries fit into the time after which a leader gives up.
            limit: settings.renew_deadline / 2,
        })
    }

    /// Of the object that holds an expert's rollout.
    pub(super) fn object_name(&self, expert: &ExpertName) -> String {
        format!("{}-{expert}", self.name)
    }

    /// The expert whose rollout an object holds, by its name.
    pub(super) fn expert_of(&self, object: &ConfigMap) -> Option<ExpertName> {
        let name = object.metadata.name.as_deref()?;
        name.strip_prefix(&self.name)?.strip_prefix('-')?.parse().ok()
    }

    pub(super) async fn list(&self) -> Result<Vec<ConfigMap>, ClusterError> {
        let ours = ListParams::default().labels(&self.selector());
        Ok(self.within(self.objects.list(&ours)).await?.items)
    }

    pub(super) async fn get(&self, expert: &ExpertName) -> Result<Option<ConfigMap>, ClusterError> {
        self.within(self.objects.get_opt(&self.object_name(expert))).await
    }

    pub(super) async fn create(
        &self,
        expert: &ExpertName,
        contents: BTreeMap<String, String>,
    ) -> Result<ConfigMap, ClusterError> {
        let mut object = ConfigMap { data: Some(contents), ..ConfigMap::default() };
        object.metadata.name = Some(self.object_name(expert));
        object.metadata.labels = Some(BTreeMap::from([(LABEL.to_owned(), self.name.clone())]));
        self.within(self.objects.create(&PostParams::default(), &object)).await
    }

    /// Sets these keys, and removes those without a value, if nobody has changed anything since `resource_version`.
    pub(super) async fn change(
        &self,
        expert: &ExpertName,
        resource_version: &str,
        contents: &BTreeMap<String, Option<String>>,
    ) -> Result<ConfigMap, ClusterError> {
        let patch = json!({ "metadata": { "resourceVersion": resource_version }, "data": contents });
        self.patch(expert, &Patch::Merge(patch)).await
    }

    /// Sets one key, whatever happens to the others meanwhile, if it still has the value `before`.
    pub(super) async fn set(
        &self,
        expert: &ExpertName,
        key: &str,
        before: Option<&str>,
        value: &str,
    ) -> Result<ConfigMap, ClusterError> {
        let path = format!("/data/{key}");
        let add = json!({ "op": "add", "path": path, "value": value });
        let steps = match before {
            Some(before) => json!([{ "op": "test", "path": path, "value": before }, add]),
            None => json!([add]),
        };
        let patch =
            serde_json::from_value(steps).map_err(|error| ClusterError::Refused(error.to_string()))?;
        self.patch(expert, &Patch::Json::<()>(patch)).await
    }

    async fn patch<P: serde::Serialize + std::fmt::Debug>(
        &self,
        expert: &ExpertName,
        patch: &Patch<P>,
    ) -> Result<ConfigMap, ClusterError> {
        let name = self.object_name(expert);
        self.within(self.objects.patch(&name, &PatchParams::default(), patch)).await
    }

    /// What happens to our objects from now on. Goes on by itself after whatever happens to the connection; its errors are news.
    pub(super) fn watch(
        &self,
    ) -> impl Stream<Item = Result<Event<ConfigMap>, watcher::Error>> + Send + use<> {
        let config = watcher::Config::default().labels(&self.selector()).timeout(WATCH_SECONDS);
        watcher(self.objects.clone(), config)
    }

    pub(super) async fn lease(&self) -> Result<Option<Lease>, ClusterError> {
        self.within(self.leases.get_opt(&self.name)).await
    }

    /// Fails when somebody else has been faster.
    pub(super) async fn write_lease(&self, mut lease: Lease) -> Result<Lease, ClusterError> {
        let is_new = lease.metadata.resource_version.is_none();
        lease.metadata.name = Some(self.name.clone());
        let parameters = PostParams::default();
        if is_new {
            self.within(self.leases.create(&parameters, &lease)).await
        } else {
            self.within(self.leases.replace(&self.name, &parameters, &lease)).await
        }
    }

    fn selector(&self) -> String {
        format!("{LABEL}={}", self.name)
    }

    async fn within<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, ClusterError> {
        let answer = tokio::time::timeout(self.limit, call).await;
        Ok(answer.map_err(|_| ClusterError::Silent(self.limit))??)
    }
}
