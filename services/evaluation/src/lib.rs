//! How good an expert is on somebody's own rows. Pure: no network and no clock, so that every rule of reading and of
//! counting is a table in the tests.
//!
//! ```text
//! Reader     lines of a file   -> Row: a text and the truth about it; or what is wrong with the line
//! Tally      truth and answer  -> counts
//! Summary    counts            -> measures, each with its 95 % interval
//! ```
//!
//! Memory depends on the number of different labels and not on the number of rows: a file of gigabytes is read as it is
//! asked about, and intervals come from resamples that are counted along the way.

mod bio;
mod chrf;
mod classes;
mod interval;
mod json;
mod layout;
mod lines;
mod reader;
mod spans;
mod summary;
mod tally;
mod truth;
mod tsv;

pub use classes::TooManyLabels;
pub use interval::{Estimate, wilson};
pub use layout::{Format, Layout, Offsets, Wanted};
pub use reader::{Reader, Refused};
pub use summary::{Class, Confused, ScopeSummary, SpanErrors, Summary};
pub use tally::Tally;
pub use truth::{Answer, Row, Span, Truth};
