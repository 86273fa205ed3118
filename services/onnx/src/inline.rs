//! Models so small that handing a job to a thread costs more than running it.
use std::num::NonZeroUsize;
use crate::{Error, Package, RunError, Tokens};
/// A few sessions to be run by whoever calls.
#[derive(Debug)]
pub struct Inline(());
impl Inline {
    /// Loads.
    pub fn load(_package: &Package, _sessions: NonZeroUsize) -> Result<Self, Error> { unimplemented!() }
    /// Logits of one text. Blocks for as long as the model takes.
    pub fn run(&self, _tokens: &Tokens) -> Result<Vec<f32>, RunError> { unimplemented!() }
}
