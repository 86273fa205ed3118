//! Decides which experts see a request, asks them, merges what they answer.
//!
//! ```text
//! client -> ingress -> classify -> plan -> dispatch -> merge -> client
//!                                             |  per expert: pick -> call -> record -> again?
//! ```
//!
//! One file per stage. `plan` and `merge` are pure; generated types stay at the edges: `ingress`, `dispatch/client`,
//! `endpoint/probe`, `control`.

pub mod admission;
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
#[cfg(feature = "openai")]
pub mod openai;
#[cfg(not(feature = "openai"))]
#[path = "openai/without.rs"]
pub mod openai;
pub mod plan;
pub mod request;
pub mod rollout;
mod server;
pub mod shadow;

use std::sync::Arc;

use nanogrid_telemetry::metrics::RouterMetrics;

use crate::{
    admission::Admission, catalog::Catalog, classify::Classifier, dispatch::Dispatch, fault::Faults,
    rollout::Rollouts,
};

pub use server::{RouterServer, StartError};

/// What every request goes through.
#[derive(Debug)]
pub struct Router {
    catalog: Arc<Catalog>,
    classifier: Arc<Classifier>,
    dispatch: Dispatch,
    limits: ingress::Limits,
    rules: plan::Rules,
    metrics: RouterMetrics,
    admission: Arc<Admission>,
    faults: Arc<Faults>,
    rollouts: Arc<Rollouts>,
}
