//! Every endpoint of the grid in use, across reloads: an unchanged endpoint keeps its connection and its history.

use std::{collections::HashSet, sync::Arc};

use dashmap::DashMap;
use nanogrid_serving::Network;
use nanogrid_telemetry::metrics::RouterMetrics;
use tokio_util::task::AbortOnDropHandle;

use super::{Endpoint, Identity, session};

/// The endpoints that are kept connected.
#[derive(Debug)]
pub struct Registry {
    running: DashMap<Identity, Running>,
    network: Network,
    metrics: RouterMetrics,
}

#[derive(Debug)]
struct Running {
    endpoint: Arc<Endpoint>,
    // Nothing is half-done in that task at any `.await`, so that it can simply end.
    _task: AbortOnDropHandle<()>,
}

impl Registry {
    /// Empty; its endpoints are in `network`.
    pub fn new(network: Network, metrics: RouterMetrics) -> Self {
        Self { running: DashMap::new(), network, metrics }
    }

    /// The endpoint of this identity; the first time, it starts to connect.
    pub fn get(&self, identity: Identity) -> Arc<Endpoint> {
        let entry = self.running.entry(identity.clone()).or_insert_with(|| {
            let gauge = self.metrics.endpoint(
                identity.expert.as_str(),
                &identity.version.to_string(),
                &identity.address,
            );
            let endpoint = Arc::new(Endpoint::new(identity, gauge));
            let task =
                AbortOnDropHandle::new(tokio::spawn(session::run(endpoint.clone(), self.network.clone())));
            Running { endpoint, _task: task }
        });
        entry.endpoint.clone()
    }

    /// Lets every other endpoint go.
    pub fn keep<'a>(&self, endpoints: impl Iterator<Item = &'a Arc<Endpoint>>) {
        let kept: HashSet<&Identity> = endpoints.map(|endpoint| &endpoint.identity).collect();
        self.running.retain(|identity, _| kept.contains(identity));
    }
}
