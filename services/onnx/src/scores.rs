//! From logits to ranked answers. Pure, so every rule here is a table in the tests.
use crate::Package;

/// One label with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored<'a> {
    /// The label.
    pub label: &'a str,
    /// Between 0 and 1.
    pub score: f32,
}

/// How one package ranks its labels.
#[derive(Debug, Clone)]
pub struct Ranking {}

impl Ranking {
    /// The rules of a package.
    pub fn new(_package: &Package) -> Self { unimplemented!() }
    /// The `k` best labels, best first.
    pub fn top(&self, _logits: &[f32], _k: usize) -> Vec<Scored<'_>> { unimplemented!() }
    /// The score of every label, by index; the out-of-scope rule plays no part.
    pub fn scores(&self, _logits: &[f32]) -> Vec<f32> { unimplemented!() }
}
