//! Packages, sessions, worker threads, batches: the only user of ort.
//!
//! ```text
//! Package::open --> Text::load   text -> tokens
//!               |-> ImageProcessor::new   image -> pixels
//!               `-> Model::load  tokens or pixels -> queue -> batch -> session -> logits      (own threads)
//!               `-> Inline::load tokens ----------------> session -> logits         (the caller's thread)
//!               |   (text-to-text)  tokens -> queue -> batch -> encoder -> decoder, step by step -> tokens -> text
//!               |-> Ranking::new                                     logits -> labels with scores
//!               `-> Tagging::new                                     logits of tokens -> spans
//! ```
//!
//! [`init`] finds and loads ONNX Runtime and comes before any model. What is wrong with a package is said when it is
//! opened or loaded, in one sentence with the way out; after that, nothing that a request holds can end the process.

mod error;
mod generation;
mod image;
mod inline;
mod library;
mod model;
mod package;
mod scores;
mod session;
mod tagging;
mod tally;
mod tensor;
mod text;
mod worker;

pub use error::{Error, RunError};
pub use generation::Generated;
pub use image::{ImageError, ImageLimits, ImageProcessor, Pixels};
pub use inline::Inline;
pub use library::init;
pub use model::{Generation, Model, ModelOptions, Run, TensorRun, Times};
pub use package::Package;
pub use scores::{Ranking, Scored};
pub use tagging::{Found, Tagging};
pub use tally::Counters;
pub use tensor::{Datatype, Elements, Outlet, TensorValue};
pub use text::{Text, Tokens, Word, Worded};
