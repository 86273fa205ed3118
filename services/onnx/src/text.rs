//! Texts to tokens.
use crate::{Error, Package, RunError};
/// A tokenizer.
#[derive(Debug)]
pub struct Text(());
/// The tokens of one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Whether the text was longer than the model can see.
    pub truncated: bool,
}
impl Text {
    /// Loads.
    pub fn load(_package: &Package) -> Result<Self, Error> { unimplemented!() }
    /// Encodes.
    pub fn encode(&self, _text: &str) -> Result<Tokens, RunError> { unimplemented!() }
}
