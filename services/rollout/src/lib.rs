//! Which version of an expert a request sees, and whether a new one may have more of them: pure.

pub mod bounds;
mod decision;
mod evidence;
mod plan;
mod rollout;
mod split;

pub use decision::Decision;
pub use evidence::{Arms, EProcess, Tally};
pub use plan::{Margins, Plan, Step};
pub use rollout::{Change, Evidence, Gate, Phase, Rollout, Seen, Verdict};
pub use split::{ALL, Split, WrongSum};
