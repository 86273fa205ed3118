//! What every gRPC server here does alike: layers in order, health, reflection, ops port, drain.
//!
//! Router and expert hand over their services and are otherwise free of transport: what a client sees of a panic,
//! a deadline or a shutdown is decided here, once.

mod client;
pub mod deadline;
mod error;
mod health;
pub mod network;
mod ops;
mod peer;
mod server;
mod services;
mod signal;
mod stack;
pub mod status;

pub use client::endpoint;
pub use deadline::Deadline;
pub use error::Error;
pub use health::Health;
pub use network::Network;
pub use server::{Drain, Options, Server};
pub use services::{Services, methods};
pub use signal::{second_shutdown_signal, shutdown_signal};
