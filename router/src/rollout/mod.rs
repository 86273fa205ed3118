//! Tries new versions of experts, step by step, and takes them back by itself when they are worse.
//!
//! Once a second every rollout looks at what became of both versions' calls since the last look, bets on it, decides, and
//! moves the weights where something was decided:
//!
//! ```text
//! arms (live calls) --.
//! shadow (copies) ----+--> window -> evidence -> verdict -> weights -> catalog
//! endpoints (gates) --'                             `-----> history -> store
//! ```
//!
//! What decides is [`nanogrid_rollout`], which is pure; here are its senses and its hands. A router that is [alone](Alone) decides
//! by itself and keeps its rollouts in a file; routers of a cluster [share](Joint) them: one decides, on what all have seen.

mod alone;
mod arm;
mod gates;
mod hands;
mod joint;
mod state;
mod store;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nanogrid_rollout::{Change, Plan};
use nanogrid_settings::{ExpertName, RolloutHome};
use nanogrid_telemetry::metrics::RolloutMetrics;
use tonic::Status;

pub use alone::Alone;
pub use arm::{Arm, Counts};
pub use joint::{ClusterError, Joint};
pub use state::{Entry, Event, Kept, State};
pub use store::{Store, StoreError};

use crate::{
    catalog::Catalog,
    error::Error,
    shadow::{Disagreement, Shadow},
};

use hands::Hands;

/// See the module.
#[derive(Debug)]
pub struct Rollouts {
    shadow: Arc<Shadow>,
    home: Home,
}

#[derive(Debug)]
enum Home {
    Alone(Box<Alone>),
    Joint(Box<Joint>),
}

/// Why the rollouts of before cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The objects.
    #[error("rollouts.kubernetes: {0}")]
    Cluster(ClusterError),
}

/// Why a rollout does not do what somebody asked for.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// There is no such expert or version.
    #[error(transparent)]
    Unknown(#[from] Error),
    /// The plan makes no sense.
    #[error("{0}")]
    Plan(String),
    /// Not now.
    #[error("{0}")]
    State(String),
    /// The object did not take it.
    #[error("rollout of `{expert}`: {source}")]
    Cluster {
        /// Whose.
        expert: ExpertName,
        /// Why.
        source: ClusterError,
    },
}

impl RolloutError {
    fn none(expert: &ExpertName) -> Self {
        Self::State(format!("`{expert}` has no rollout: start one first"))
    }
}

impl From<RolloutError> for Status {
    fn from(error: RolloutError) -> Self {
        let text = error.to_string();
        match error {
            RolloutError::Unknown(error) => error.into(),
            RolloutError::Plan(reason) => Self::invalid_argument(format!("rollout: {reason}")),
            RolloutError::State(reason) => Self::failed_precondition(reason),
            RolloutError::Cluster { source, .. } if source.may_pass() => Self::unavailable(text),
            RolloutError::Cluster { .. } => Self::failed_precondition(text),
        }
    }
}

impl Rollouts {
    /// Goes on where they were: the weights are in force when this returns. A cluster that does not answer now is asked again
    /// while running.
    ///
    /// # Errors
    /// When the file cannot be read, or the cluster lets nobody in.
    pub async fn resume(
        catalog: Arc<Catalog>,
        shadow: Arc<Shadow>,
        home: &RolloutHome,
        metrics: RolloutMetrics,
    ) -> Result<Self, ResumeError> {
        let hands = Hands { catalog, shadow: shadow.clone(), metrics };
        let home = match home {
            RolloutHome::Nowhere => Home::Alone(Box::new(Alone::resume(hands, Store::Memory)?)),
            RolloutHome::File(path) => {
                Home::Alone(Box::new(Alone::resume(hands, Store::File(path.clone()))?))
            }
            RolloutHome::Kubernetes(settings) => {
                let joint = Joint::resume(hands, settings).await.map_err(ResumeError::Cluster)?;
                Home::Joint(Box::new(joint))
            }
        };
        Ok(Self { shadow, home })
    }

    /// Looks with every tick; never returns. Dropping it leaves every rollout where it is.
    pub async fn run(&self, tick: Duration) {
        match &self.home {
            Home::Alone(alone) => alone.run(tick).await,
            // Four loops in one are large.
            Home::Joint(joint) => Box::pin(joint.run(tick)).await,
        }
    }

    /// This router serves no more: what others would wait for is handed over.
    pub async fn leave(&self) {
        match &self.home {
            Home::Alone(_) => {}
            Home::Joint(joint) => joint.leave().await,
        }
    }

    /// Every rollout, by expert.
    pub fn all(&self) -> State {
        match &self.home {
            Home::Alone(alone) => alone.all(),
            Home::Joint(joint) => joint.all(),
        }
    }

    /// Answers of canaries that were not the stable version's, newest first; those that this router has seen.
    pub fn disagreements(&self, expert: &ExpertName, limit: usize) -> Vec<Disagreement> {
        self.shadow.disagreements(expert, limit)
    }

    /// Begins to try a version.
    ///
    /// # Errors
    /// When the grid has no such version, the plan makes no sense, the expert has a rollout already, or it cannot be kept.
    pub async fn start(&self, expert: &ExpertName, plan: Plan) -> Result<Kept, RolloutError> {
        match &self.home {
            Home::Alone(alone) => alone.start(expert, plan),
            Home::Joint(joint) => joint.start(expert, plan).await,
        }
    }

    /// Pauses, resumes, hurries, promotes or aborts.
    ///
    /// # Errors
    /// When there is no rollout, it is in no state for it, or the change cannot be kept.
    pub async fn change(&self, expert: &ExpertName, change: Change) -> Result<Kept, RolloutError> {
        match &self.home {
            Home::Alone(alone) => alone.change(expert, change),
            Home::Joint(joint) => joint.change(expert, change).await,
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
