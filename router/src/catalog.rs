//! The grid as this router knows it now. A request takes one look and keeps what it saw, so that a reload half-way
//! through changes nothing for it.

mod allowance;
mod snapshot;
mod traffic;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::{ArcSwap, Guard};
use dashmap::DashMap;
use nanogrid_resilience::BreakerSettings;
use nanogrid_serving::Network;
use nanogrid_settings::{ExpertName, Task, VersionLabel, grid};
use nanogrid_telemetry::metrics::RouterMetrics;

use crate::{
    endpoint::{Identity, Registry},
    openai::OpenAi,
};

pub use allowance::Allowance;
pub use snapshot::{Expert, Grid, Version};
pub use traffic::{Steering, Traffic};

/// The grid in use, replaced whole.
#[derive(Debug)]
pub struct Catalog {
    current: ArcSwap<Grid>,
    registry: Registry,
    allowances: DashMap<ExpertName, Arc<Allowance>>,
    /// Held while a grid is made: one at a time.
    orders: Mutex<Orders>,
    metrics: RouterMetrics,
    /// The bigger model that is no part of the grid file, and its name as an expert.
    openai: Option<(ExpertName, Arc<OpenAi>)>,
}

/// What the grid in use is made of.
#[derive(Debug, Default)]
struct Orders {
    file: Option<grid::Grid>,
    steering: HashMap<ExpertName, Steering>,
}

impl Catalog {
    /// An empty grid, generation 0, whose endpoints are in `network`.
    pub fn new(network: Network, metrics: RouterMetrics) -> Self {
        Self {
            current: ArcSwap::default(),
            registry: Registry::new(network, metrics.clone()),
            allowances: DashMap::new(),
            orders: Mutex::default(),
            metrics,
            openai: None,
        }
    }

    /// With one more expert, behind `openai`, in every grid from now on. No grid file may have one of its name.
    pub fn with_openai(self, name: ExpertName, openai: Arc<OpenAi>) -> Self {
        Self { openai: Some((name, openai)), ..self }
    }

    /// The expert that is in every grid and in no grid file.
    pub fn beside_the_file(&self) -> Option<&ExpertName> {
        self.openai.as_ref().map(|(name, _openai)| name)
    }

    /// The grid at this moment.
    pub fn now(&self) -> Guard<Arc<Grid>> {
        self.current.load()
    }

    /// Puts a checked grid file in place of the one in use. Endpoints in both keep their connections, and what rollouts
    /// say stays in force.
    pub fn replace(&self, settings: &grid::Grid) -> Arc<Grid> {
        let mut orders = self.orders();
        orders.file = Some(settings.clone());
        let grid = self.make(&orders, self.now().generation + 1);
        self.metrics.grid_accepted(grid.generation);
        // After the swap: no new request can pick what is let go here.
        self.registry.keep(grid.endpoints());
        self.allowances.retain(|name, _| grid.get(name.as_str()).is_some());
        grid
    }

    /// Has a rollout say how an expert's calls are split, or the grid file again. In force for every request from now on.
    pub fn steer(&self, expert: &ExpertName, steering: Option<Steering>) {
        let mut orders = self.orders();
        let before = orders.steering.get(expert);
        if before == steering.as_ref() {
            return;
        }
        match steering {
            Some(steering) => orders.steering.insert(expert.clone(), steering),
            None => orders.steering.remove(expert),
        };
        self.make(&orders, self.now().generation);
    }

    /// The versions that the grid file names for an expert, with its weights.
    pub fn weights_in_file(&self, expert: &str) -> Option<Vec<(u32, u32)>> {
        let orders = self.orders();
        let expert = orders.file.as_ref()?.experts.iter().find(|known| known.name == *expert)?;
        Some(expert.versions.iter().map(|version| (version.version, version.weight.0)).collect())
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, orders: &Orders, generation: u64) -> Arc<Grid> {
        let Orders { file: Some(file), steering } = orders else { return self.current.load_full() };
        let experts = file.experts.iter().map(|expert| {
            let steering = steering.get(&expert.name).filter(|steering| steering.fits(&expert.versions));
            (expert.name.clone(), Arc::new(self.expert(expert, steering)))
        });
        let beside =
            self.openai.iter().map(|(name, openai)| (name.clone(), Arc::new(self.bigger(name, openai))));
        let experts = experts.chain(beside).collect();
        let grid = Arc::new(Grid { generation, sha256: file.sha256.clone(), experts });
        self.current.store(grid.clone());
        grid
    }

    fn expert(&self, settings: &grid::Expert, steering: Option<&Steering>) -> Expert {
        let version = |version: &grid::Version| {
            let endpoint = |spec: &grid::EndpointSpec| {
                let grid::EndpointSpec::Static { host_port } = spec;
                self.registry.get(Identity {
                    address: host_port.as_str().into(),
                    expert: settings.name.clone(),
                    version: version.version,
                    task: settings.task,
                    model_sha256: version.model_sha256.clone(),
                })
            };
            Version {
                weight: steering.map_or(version.weight.0, |steering| steering.weight_of(version.version)),
                label: steering.map_or(version.label, |steering| steering.label_of(version.version)),
                endpoints: version.endpoints.iter().map(endpoint).collect(),
                ..self.version(&settings.name, version.version)
            }
        };
        let versions: Vec<Version> = settings.versions.iter().map(version).collect();
        let salt = steering.map_or(settings.name.as_str(), |steering| &steering.salt);
        Expert {
            name: settings.name.clone(),
            task: settings.task,
            title: settings.title.clone(),
            timeout: settings.timeout,
            policy: settings.policy.clone(),
            breaker: breaker(&settings.policy.breaker),
            gate: gate(&settings.policy.breaker),
            reads_instructions: false,
            allowance: self.allowance(&settings.name),
            traffic: traffic(salt, &versions),
            versions,
        }
    }

    /// The bigger model, as one more expert. Each call costs money: one that the server may have seen is not sent twice.
    fn bigger(&self, name: &ExpertName, openai: &Arc<OpenAi>) -> Expert {
        let retry = grid::Retry { attempts: 1, ..grid::Retry::default() };
        let policy = grid::Policy { retry, ..grid::Policy::default() };
        let task = Task::TextToText;
        let identity = Identity {
            address: openai.address().clone(),
            expert: name.clone(),
            version: UNVERSIONED,
            task,
            model_sha256: None,
        };
        let versions = vec![Version {
            weight: grid::BasisPoints::ALL.0,
            endpoints: vec![self.registry.openai(identity, openai)],
            ..self.version(name, UNVERSIONED)
        }];
        Expert {
            name: name.clone(),
            task,
            title: openai.title(),
            timeout: None,
            breaker: breaker(&policy.breaker),
            gate: gate(&policy.breaker),
            policy,
            reads_instructions: true,
            allowance: self.allowance(name),
            traffic: traffic(name.as_str(), &versions),
            versions,
        }
    }

    /// A version that nothing is sent to.
    fn version(&self, expert: &ExpertName, number: u32) -> Version {
        Version {
            number,
            weight: 0,
            label: None,
            calls: self.metrics.calls(expert.as_str(), &number.to_string()),
            tries: self.metrics.version(expert.as_str(), &number.to_string()),
            pool: self.registry.pool(expert, number),
            endpoints: Vec::new(),
        }
    }

    fn allowance(&self, expert: &ExpertName) -> Arc<Allowance> {
        let new = || Arc::new(Allowance::new(self.metrics.dispatch(expert.as_str())));
        self.allowances.entry(expert.clone()).or_insert_with(new).clone()
    }
}

/// What a server has today under a model's name has no version that anybody could tell.
const UNVERSIONED: u32 = 0;

fn traffic(salt: &str, versions: &[Version]) -> Traffic {
    let is_canary = |version: &Version| version.label == Some(VersionLabel::Canary);
    let shares: Vec<_> = versions.iter().map(|version| (version.weight, is_canary(version))).collect();
    Traffic::new(salt, &shares)
}

fn breaker(settings: &grid::Breaker) -> BreakerSettings {
    BreakerSettings {
        consecutive_failures: settings.consecutive_failures,
        success_rate: settings.success_rate,
        window: settings.window,
        least_calls: settings.least_calls,
        rest: settings.rest,
        longest_rest: settings.longest_rest,
    }
}

/// A version may have nobody beside it to take its calls. So a few failures in a row do not open its gate, but only the share
/// of its calls that fail, retries and all; and its rests do not grow, since while it rests nobody may answer.
fn gate(settings: &grid::Breaker) -> BreakerSettings {
    let endpoint = breaker(settings);
    BreakerSettings { consecutive_failures: u32::MAX, longest_rest: endpoint.rest, ..endpoint }
}

#[cfg(test)]
impl Expert {
    /// Without a file: `versions` by number, weight and label, with endpoints nowhere. For tests.
    pub fn of(name: &str, task: Task, versions: &[(u32, u32, Option<VersionLabel>)]) -> Self {
        let metrics = RouterMetrics::new(&nanogrid_telemetry::metrics::Registry::new());
        let catalog = Catalog::new(Network::default(), metrics);
        let name: ExpertName = name.parse().expect("a name");
        let version = |&(number, weight, label): &(u32, u32, Option<VersionLabel>)| Version {
            weight,
            label,
            ..catalog.version(&name, number)
        };
        let versions: Vec<Version> = versions.iter().map(version).collect();
        let policy = grid::Policy::default();
        Self {
            task,
            title: String::new(),
            timeout: None,
            breaker: breaker(&policy.breaker),
            gate: gate(&policy.breaker),
            policy,
            reads_instructions: false,
            allowance: catalog.allowance(&name),
            traffic: traffic(name.as_str(), &versions),
            versions,
            name,
        }
    }
}
