//! The host of one or many experts over the Open Inference Protocol.
//!
//! An expert is data: a package folder. A task is code: what surrounds the model so that text goes in and labels come
//! out. One process serves every package it is given. A request takes one way through here:
//!
//! ```text
//! ingress -> admission -> preprocess -> batch -> session -> postprocess
//!                         \ task        \ services/onnx     \ task
//! ```

mod admission;
mod call;
mod classification;
mod error;
mod expert;
mod host;
mod info;
mod ingress;
mod loading;
mod memory;
mod metadata;
mod pipeline;
mod repository;
mod signature;
mod statistics;
mod stream;
mod task;
mod tasks;
mod wire;

pub use error::Error;
pub use host::{Host, StartError};
