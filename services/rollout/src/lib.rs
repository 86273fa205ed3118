//! Which version of an expert a request sees: pure.

mod split;

pub use split::{ALL, Split, WrongSum};
