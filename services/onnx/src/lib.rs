//! Packages, sessions, worker threads, batches: the only user of ort.
mod error;
mod inline;
mod library;
mod model;
mod package;
mod scores;
mod tensor;
mod text;

pub use error::{Error, RunError};
pub use inline::Inline;
pub use library::init;
pub use model::{Counters, Model, ModelOptions, Run, TensorRun, Times};
pub use package::Package;
pub use scores::{Ranking, Scored};
pub use tensor::{Datatype, Elements, Outlet, TensorValue};
pub use text::{Text, Tokens};
