//! The only reader of environment and files: process settings, grid files, packages.
//!
//! What people write is checked once, here, so that the rest of the grid works with values that hold. Every complaint
//! names the place (file and line, or environment variable), the key, the value, and what would be right.

mod document;
mod error;
pub mod escalation;
pub mod expert;
pub mod grid;
mod name;
pub mod package;
pub mod rollouts;
pub mod router;
pub mod server;
mod setting;
mod source;
mod task;

pub use error::{Error, Problem, Problems};
pub use escalation::{ApiKey, Escalation, OpenAiSettings};
pub use expert::{ExpertSettings, InferenceSettings, LimitSettings, RepositorySettings};
pub use grid::{BasisPoints, EndpointSpec, Expert, Grid, Policy, Version, VersionLabel};
pub use name::{ExpertName, InvalidName};
pub use package::{ExpertManifest, HfConfig, ImageProcessorConfig, VersionManifest};
pub use rollouts::{KubernetesSettings, RolloutHome};
pub use router::RouterSettings;
pub use server::{DrainSettings, LogFormat, ServerSettings, TelemetrySettings};
pub use source::{env_path, load};
pub use task::{Task, UnknownTask};
