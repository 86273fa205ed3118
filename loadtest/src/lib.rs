//! Load generator: open and closed loop, checked answers, HDR percentiles.
//!
//! It speaks only the wire, so that it measures what a client sees, and any server of the protocol can be its target.
//! A fast wrong answer is worth nothing: every answer is compared with the label its input should get.
//!
//! In the open loop, calls start at times fixed in advance and a latency counts from that time. A generator that waits
//! for slow answers before it asks again would leave out just the calls that had to wait (coordinated omission).

pub mod arrivals;
pub mod call;
pub mod cases;
pub mod cpu;
mod error;
mod judge;
pub mod load;
pub mod machine;
pub mod options;
pub mod record;
pub mod report;
pub mod scenario;
pub mod timer;

pub use error::Error;
