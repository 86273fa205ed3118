//! Backoff, deadlines (later breakers, budgets, picker): values on tokio's clock that know no gRPC.

mod backoff;
pub mod breaker;
pub mod budget;
mod codel;
mod criticality;
pub mod deadline;
mod gate;
pub mod latency;
mod limiter;
pub mod load;
pub mod pick;
pub mod throttle;
mod window;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerSettings, BreakerState, Transition, Verdict};
pub use budget::{Budget, GlobalBudget};
pub use codel::{CoDel, TARGET as CODEL_TARGET};
pub use criticality::{Criticality, UnknownCriticality};
pub use gate::{Gate, GateNow, GateSettings, Permit, Refused, ShedReason};
pub use latency::Latency;
pub use limiter::{LimitSettings, Limiter};
pub use load::{Load, Pending};
pub use throttle::Throttle;
