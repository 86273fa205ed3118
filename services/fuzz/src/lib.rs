//! Everything that strangers write and nanogrid reads, one function each: given any bytes, it must return.
//!
//! Beyond that, each function claims what its reader promises: bounded memory, and that what is written is read again as
//! it was. The same functions run in three ways: under libFuzzer (`make fuzz`), over the seeds in every `cargo test`, and
//! over what once broke, which is kept among the seeds.

mod files;
mod images;
mod json;
mod rows;
mod tensors;
mod timeout;

pub use files::{grid_file, package_manifests, process_settings};
pub use images::images;
pub use json::json;
pub use rows::rows;
pub use tensors::tensors;
pub use timeout::grpc_timeout;
