//! `grpc.health.v1` and readiness from one state, so that probes, routers and people see the same.
//!
//! tonic-health has a server too. It fails a Watch of a service it does not know yet, where the protocol wants
//! `SERVICE_UNKNOWN` and a later change; and it cannot end its streams, so that each of them would keep a draining
//! server until its hard stop.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, future};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{self, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The health of the process and of each service in it. Clones share one state.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    // What was said last, by name of the service.
    serving: BTreeMap<String, bool>,
    phase: Phase,
}

/// Serving -> Draining -> Closed; there is no way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Serving,
    // Everything is NOT_SERVING, whatever its service says.
    Draining,
    // And the streams of those who watch end.
    Closed,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())) }
    }

    /// Says whether a service (e.g. `intent`) can be asked. Name every service before serving, as
    /// not serving: readiness waits for those it knows.
    ///
    /// The empty name is the process. Once it is set, it alone decides on readiness, so that one broken model of
    /// several does not take the others away; until then the process serves, and is ready when all services are.
    pub fn set(&self, service: &str, serving: bool) {
        self.state.send_if_modified(|state| {
            let before = state.serving.insert(service.to_owned(), serving);
            before != Some(serving)
        });
    }

    /// Forgets a service that is gone for good.
    pub fn remove(&self, service: &str) {
        self.state.send_if_modified(|state| state.serving.remove(service).is_some());
    }

    /// Should requests be sent here? False from the beginning of a drain.
    pub fn ready(&self) -> bool {
        self.state.borrow().ready()
    }

    /// The services that do not serve, whether readiness waits for them or not.
    pub fn not_serving(&self) -> Vec<String> {
        let state = self.state.borrow();
        let silent = |name: &&String| !name.is_empty() && state.status(name) == ServingStatus::NotServing;
        state.serving.keys().filter(silent).cloned().collect()
    }

    /// Has a drain begun?
    pub fn draining(&self) -> bool {
        self.state.borrow().phase != Phase::Serving
    }

    /// From now on everything is NOT_SERVING; those who watch are told at once.
    pub fn drain(&self) {
        self.state.send_if_modified(|state| {
            let begins = state.phase == Phase::Serving;
            if begins {
                state.phase = Phase::Draining;
            }
            begins
        });
    }

    /// Ends the streams of those who watch.
    pub(crate) fn close(&self) {
        self.state.send_modify(|state| state.phase = Phase::Closed);
    }

    pub(crate) fn server(&self) -> HealthServer<impl health_server::Health> {
        HealthServer::new(Service { health: self.clone() })
    }
}

impl State {
    fn ready(&self) -> bool {
        let serving = match self.serving.get("") {
            Some(process) => *process,
            None => self.serving.values().all(|serving| *serving),
        };
        serving && self.phase == Phase::Serving
    }

    fn status(&self, service: &str) -> ServingStatus {
        let unset = service.is_empty().then_some(&true);
        match self.serving.get(service).or(unset) {
            None => ServingStatus::ServiceUnknown,
            Some(true) if self.phase == Phase::Serving => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        }
    }
}

struct Service {
    health: Health,
}

#[tonic::async_trait]
impl health_server::Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let status = self.health.state.borrow().status(&service);
        if status == ServingStatus::ServiceUnknown {
            return Err(Status::not_found(format!("no such service here: `{service}`")));
        }
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let mut last = None;
        let states = WatchStream::new(self.health.state.subscribe());
        let changes = states
            .take_while(|state| future::ready(state.phase != Phase::Closed))
            .map(move |state| state.status(&service))
            // Every watcher wakes for every service; it only speaks of its own.
            .filter_map(move |status| {
                let changed = last != Some(status);
                last = Some(status);
                future::ready(changed.then_some(status))
            })
            .map(|status| Ok(HealthCheckResponse { status: status.into() }));
        Ok(Response::new(changes.boxed()))
    }
}

#[cfg(test)]
mod tests;
