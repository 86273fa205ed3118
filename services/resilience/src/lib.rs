//! Backoff, deadlines (later breakers, budgets, picker): values on tokio's clock that know no gRPC.

mod backoff;
mod criticality;
pub mod deadline;

pub use backoff::Backoff;
pub use criticality::{Criticality, UnknownCriticality};
