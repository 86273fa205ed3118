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
//!
//!   any, when it leaves the grid --> Draining
//! ```
//!
//! Health is watched, not polled: an endpoint that drains is out of the way within a round trip. Only a `Ready` one is
//! picked, and not while it is ejected: that is its breaker's state ([`History`]), beside the connection's. The task ends
//! when the endpoint leaves the grid; calls on their way hold the connection until they have finished, and a request that
//! was planned with the old grid may still be sent where that grid said.

mod history;
mod pool;
mod probe;
mod registry;
mod session;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use nanogrid_resilience::{Breaker, Load, Transition, breaker::Reason, pick};
use nanogrid_settings::{ExpertName, Task};
use nanogrid_telemetry::metrics::{EjectionReason, EndpointGauge, EndpointState};
use tokio::time::Instant;
use tonic::transport::Channel;
use tracing::{info, warn};

use crate::openai::OpenAi;

pub use history::History;
pub use pool::Pool;
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
    /// What became of the calls to it.
    pub history: History,
    /// What it shares with the other endpoints of its version.
    pub pool: Arc<Pool>,
    state: ArcSwap<State>,
    /// Its breaker is open, and enough others are left.
    is_ejected: AtomicBool,
    facts: ArcSwap<Facts>,
    gauge: EndpointGauge,
}

/// See the module. A reason is one sentence for people.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum State {
    Connecting { reason: String },
    Ready { connection: Connection },
    NotServing { reason: String },
    Refused { reason: String },
    Draining { connection: Option<Connection> },
}

/// How calls reach it.
#[derive(Clone, Debug)]
pub enum Connection {
    /// The Open Inference Protocol: every expert of a grid file.
    Grpc(Channel),
    /// The bigger model that requests escalate to, where it is behind an OpenAI-compatible HTTP API. It is watched by nobody, and
    /// connected when it is called: there is no protocol to ask such a server how it is.
    OpenAi(Arc<OpenAi>),
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
    /// Of its labels, hex.
    pub labels_sha256: String,
}

impl Endpoint {
    fn new(identity: Identity, pool: Arc<Pool>, gauge: EndpointGauge) -> Self {
        let reason = "not tried yet".to_owned();
        Self {
            identity,
            history: History::new(pool.usual()),
            pool,
            state: ArcSwap::from_pointee(State::Connecting { reason }),
            is_ejected: AtomicBool::new(false),
            facts: ArcSwap::default(),
            gauge,
        }
    }

    /// Its connection, when a call may be sent to it.
    pub fn connection(&self) -> Option<Connection> {
        match &**self.state.load() {
            State::Ready { connection } => Some(connection.clone()),
            State::Draining { connection } => connection.clone(),
            State::Connecting { .. } | State::NotServing { .. } | State::Refused { .. } => None,
        }
    }

    /// Is it connected, the right one, and serving? Its breaker may still keep calls away.
    pub fn is_ready(&self) -> bool {
        matches!(**self.state.load(), State::Ready { .. })
    }

    /// Has it left the grid with a connection that still works?
    pub fn is_draining(&self) -> bool {
        matches!(**self.state.load(), State::Draining { connection: Some(_) })
    }

    /// In one word, its breaker included.
    pub fn kind(&self) -> EndpointState {
        let kind = self.state.load().kind();
        let is_ejected = kind == EndpointState::Ready && self.is_ejected.load(Ordering::Relaxed);
        if is_ejected { EndpointState::Ejected } else { kind }
    }

    /// Why it is not picked; empty when it is.
    pub fn reason(&self) -> String {
        if self.kind() == EndpointState::Ejected {
            return "its calls failed too often: it rests".to_owned();
        }
        self.state.load().reason().to_owned()
    }

    /// Its connection's state at this moment.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// What it told of itself.
    pub fn facts(&self) -> Arc<Facts> {
        self.facts.load_full()
    }

    /// The address without its port.
    pub fn host(&self) -> &str {
        let address = &*self.identity.address;
        let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Is it on this machine, so that its process id means something here?
    pub fn is_local(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Its breaker has opened or closed. `enforced`: enough others are left, so that it is not picked.
    pub fn breaker_changed(&self, transition: Transition, enforced: bool) {
        let Identity { address, expert, version, .. } = &self.identity;
        match transition {
            Transition::Opened { reason, rest } => {
                let reason = match reason {
                    Reason::ConsecutiveFailures => EjectionReason::ConsecutiveFailures,
                    Reason::SuccessRate => EjectionReason::SuccessRate,
                    Reason::FailedProbe => EjectionReason::Probe,
                };
                self.is_ejected.store(enforced, Ordering::Relaxed);
                self.gauge.ejected(reason, enforced);
                let reason = reason.as_str();
                warn!(%expert, version, %address, reason, ?rest, enforced, "endpoint's breaker opened");
            }
            Transition::Closed => {
                self.is_ejected.store(false, Ordering::Relaxed);
                info!(%expert, version, %address, "endpoint's breaker closed");
            }
        }
        self.gauge.set(self.kind());
    }

    /// Told once per change: a restarting expert is one line here, not one per attempt.
    fn set_state(&self, state: State) {
        let state = Arc::new(state);
        // It does not come back from leaving the grid, whatever its task was about to say.
        let before = self.state.rcu(|before| {
            if matches!(**before, State::Draining { .. }) { before.clone() } else { state.clone() }
        });
        if before.kind() == state.kind() || matches!(*before, State::Draining { .. }) {
            return;
        }
        if matches!((&*before, &*state), (State::Ready { .. }, State::Connecting { .. })) {
            self.history.is_lost();
        }
        if matches!(*state, State::Ready { .. }) {
            self.is_back();
            let now = Instant::now();
            self.history.load.expect(now, self.pool.usual());
            self.history.load.warm_from(now);
        }
        self.gauge.set(self.kind());
        let Identity { address, expert, version, .. } = &self.identity;
        info!(%expert, version, %address, state = state.kind().as_str(), reason = state.reason(), "endpoint");
    }

    /// It answers after it did not: what failed before was another process, or a stopped one. Whether calls succeed again is
    /// found out by the next one, not by a rest that began before.
    fn is_back(&self) {
        self.history.is_heard();
        self.history.breaker.probe_now();
        self.pool.gate.probe_now();
        self.is_ejected.store(false, Ordering::Relaxed);
        self.gauge.set(self.kind());
    }

    /// It is no part of the grid any more.
    fn drain(&self) {
        let connection = self.connection();
        self.set_state(State::Draining { connection });
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
            Self::Draining { .. } => EndpointState::Draining,
        }
    }

    /// Why it is not ready; empty when it is.
    pub fn reason(&self) -> &str {
        match self {
            Self::Ready { .. } => "",
            Self::Connecting { reason } | Self::NotServing { reason } | Self::Refused { reason } => reason,
            Self::Draining { .. } => "the grid file does not name it any more",
        }
    }
}

impl pick::Endpoint for Endpoint {
    fn load(&self) -> &Load {
        &self.history.load
    }

    fn breaker(&self) -> &Breaker {
        &self.history.breaker
    }
}
