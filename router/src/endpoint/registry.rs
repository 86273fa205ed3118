//! Every endpoint of the grid in use, across reloads: an unchanged endpoint keeps its connection and its history.

use std::{collections::HashSet, sync::Arc};

use dashmap::DashMap;
use nanogrid_serving::Network;
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::RouterMetrics;
use tokio_util::task::AbortOnDropHandle;

use super::{Connection, Endpoint, Identity, Pool, State, session};
use crate::openai::OpenAi;

/// The endpoints that are kept connected.
#[derive(Debug)]
pub struct Registry {
    running: DashMap<Identity, Running>,
    pools: DashMap<(ExpertName, u32), Arc<Pool>>,
    network: Network,
    metrics: RouterMetrics,
}

#[derive(Debug)]
struct Running {
    endpoint: Arc<Endpoint>,
    // Nothing is half-done in that task at any `.await`, so that it can simply end. Absent where nothing is watched.
    _task: Option<AbortOnDropHandle<()>>,
}

impl Registry {
    /// Empty.
    pub fn new(network: Network, metrics: RouterMetrics) -> Self {
        Self { running: DashMap::new(), pools: DashMap::new(), network, metrics }
    }

    /// What the endpoints of this version share.
    pub fn pool(&self, expert: &ExpertName, version: u32) -> Arc<Pool> {
        self.pools.entry((expert.clone(), version)).or_insert_with(|| Arc::new(Pool::new())).clone()
    }

    /// The endpoint of this identity; the first time, it starts to connect.
    pub fn get(&self, identity: Identity) -> Arc<Endpoint> {
        self.get_or_start(identity, |endpoint| {
            let run = session::run(endpoint.clone(), self.network.clone());
            Some(AbortOnDropHandle::new(tokio::spawn(run)))
        })
    }

    /// The same of the bigger model behind `openai`, which can be asked at any time.
    pub fn openai(&self, identity: Identity, openai: &Arc<OpenAi>) -> Arc<Endpoint> {
        self.get_or_start(identity, |endpoint| {
            endpoint.set_state(State::Ready { connection: Connection::OpenAi(openai.clone()) });
            None
        })
    }

    fn get_or_start(
        &self,
        identity: Identity,
        start: impl FnOnce(&Arc<Endpoint>) -> Option<AbortOnDropHandle<()>>,
    ) -> Arc<Endpoint> {
        let pool = self.pool(&identity.expert, identity.version);
        let entry = self.running.entry(identity.clone()).or_insert_with(|| {
            let gauge = self.metrics.endpoint(
                identity.expert.as_str(),
                &identity.version.to_string(),
                &identity.address,
            );
            let endpoint = Arc::new(Endpoint::new(identity, pool, gauge));
            let task = start(&endpoint);
            Running { endpoint, _task: task }
        });
        entry.endpoint.clone()
    }

    /// Lets every other endpoint go: calls on their way finish, and hold its connection until they have.
    pub fn keep<'a>(&self, endpoints: impl Iterator<Item = &'a Arc<Endpoint>>) {
        let kept: HashSet<&Identity> = endpoints.map(|endpoint| &endpoint.identity).collect();
        self.running.retain(|identity, running| {
            let is_kept = kept.contains(identity);
            if !is_kept {
                running.endpoint.drain();
            }
            is_kept
        });
        let versions: HashSet<_> = kept.iter().map(|identity| (&identity.expert, identity.version)).collect();
        self.pools.retain(|(expert, version), _| versions.contains(&(expert, *version)));
    }
}
