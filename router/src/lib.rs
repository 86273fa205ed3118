//! Decides which experts see a request, asks them, merges what they answer.
//!
//! ```text
//! client -> ingress -> classify -> plan -> dispatch -> merge -> client
//!                                             |  per expert: pick -> call -> record -> again?
//! ```
//!
//! One file per stage. `plan` and `merge` are pure; generated types stay at the edges: `ingress`, `dispatch/client`,
//! `endpoint/probe`, `control`.

pub mod cache;
pub mod catalog;
pub mod classify;
pub mod control;
pub mod discovery;
pub mod dispatch;
pub mod endpoint;
pub mod error;
pub mod fault;
pub mod ingress;
pub mod merge;
pub mod plan;
pub mod request;
mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use nanogrid_telemetry::metrics::RouterMetrics;

use crate::{catalog::Catalog, classify::Classifier, dispatch::Dispatch};

pub use server::{RouterServer, StartError};

/// What every request goes through.
#[derive(Debug)]
pub struct Router {
    catalog: Arc<Catalog>,
    classifier: Arc<Classifier>,
    dispatch: Dispatch,
    limits: ingress::Limits,
    max_experts: usize,
    metrics: RouterMetrics,
    in_flight: AtomicU64,
}

/// A request is in flight for as long as this is held.
struct InFlight<'a>(&'a AtomicU64);

impl Router {
    fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    fn requests_in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
