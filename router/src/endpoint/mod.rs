//! One address that answers for one version of one expert.
//!
//! tonic counts an address as ready that nobody listens on, and its balancer sends calls there. So each endpoint here has
//! its own connection, opened before it is needed, and a task that knows what became of it:
//!
//! ```text
//!               connected, is what the grid file says           NOT_SERVING
//!   Connecting -----------------------------------------> Ready <---------> NotServing
//!      ^  |                                                 |    SERVING        ^  |
//!      |  |-- is still loading -----------------------------|-------------------'  |
//!      |  `-- is something else --> Refused                 |                      |
//!      `-------- asked again ----------'--------------------'--- connection lost --'
//! ```
//!
//! Health is watched, not polled: an endpoint that drains is out of the way within a round trip. Only a `Ready` one can
//! be picked. The task ends when the endpoint leaves the grid; calls on their way finish.

mod probe;
mod registry;
mod session;

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use nanogrid_settings::{ExpertName, Task};
use nanogrid_telemetry::metrics::{EndpointGauge, EndpointState};
use tonic::transport::Channel;
use tracing::info;

pub use registry::Registry;

/// What the grid file says of an endpoint. Two that differ in anything are two endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// `host:port`
    pub address: Arc<str>,
    /// Must be served there,
    pub expert: ExpertName,
    /// in this version,
    pub version: u32,
    /// for this task,
    pub task: Task,
    /// with this model file, where the grid file says which.
    pub model_sha256: Option<String>,
}

/// An endpoint and what is known of it at this moment.
#[derive(Debug)]
pub struct Endpoint {
    /// What it must be.
    pub identity: Identity,
    state: ArcSwap<State>,
    facts: ArcSwap<Facts>,
    gauge: EndpointGauge,
}

/// See the module. A reason is one sentence for people.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum State {
    Connecting { reason: String },
    Ready { channel: Channel },
    NotServing { reason: String },
    Refused { reason: String },
}

/// What the process behind the endpoint last said of itself; defaults = it does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// On its own host.
    pub pid: u32,
    /// Resident bytes.
    pub memory: u64,
    /// Of the model file, hex.
    pub model_sha256: String,
}

impl Endpoint {
    fn new(identity: Identity, gauge: EndpointGauge) -> Self {
        let reason = "not tried yet".to_owned();
        let state = ArcSwap::from_pointee(State::Connecting { reason });
        Self { identity, state, facts: ArcSwap::default(), gauge }
    }

    /// Its connection, when a call may be sent to it.
    pub fn channel(&self) -> Option<Channel> {
        match &**self.state.load() {
            State::Ready { channel } => Some(channel.clone()),
            State::Connecting { .. } | State::NotServing { .. } | State::Refused { .. } => None,
        }
    }

    /// May a call be sent to it?
    pub fn is_ready(&self) -> bool {
        matches!(**self.state.load(), State::Ready { .. })
    }

    /// Its state at this moment.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// What it told of itself.
    pub fn facts(&self) -> Arc<Facts> {
        self.facts.load_full()
    }

    /// Is it on this machine, so that its process id means something here?
    pub fn is_local(&self) -> bool {
        let address = &*self.identity.address;
        let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Told once per change: a restarting expert is one line here, not one per attempt.
    fn set_state(&self, state: State) {
        let before = self.state.swap(Arc::new(state));
        let now = self.state.load();
        if before.kind() != now.kind() {
            self.gauge.set(now.kind());
            let Identity { address, expert, version, .. } = &self.identity;
            info!(%expert, version, %address, state = now.kind().as_str(), reason = now.reason(), "endpoint");
        }
    }

    fn set_facts(&self, facts: Facts) {
        if **self.facts.load() != facts {
            self.facts.store(Arc::new(facts));
        }
    }
}

impl State {
    /// As it stands in the metrics.
    pub fn kind(&self) -> EndpointState {
        match self {
            Self::Connecting { .. } => EndpointState::Connecting,
            Self::Ready { .. } => EndpointState::Ready,
            Self::NotServing { .. } => EndpointState::NotServing,
            Self::Refused { .. } => EndpointState::Refused,
        }
    }

    /// Why it is not ready; empty when it is.
    pub fn reason(&self) -> &str {
        match self {
            Self::Ready { .. } => "",
            Self::Connecting { reason } | Self::NotServing { reason } | Self::Refused { reason } => reason,
        }
    }
}
