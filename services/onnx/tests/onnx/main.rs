//! Packages, texts and models from disk through ONNX Runtime. `services/onnx/fetch-onnxruntime` comes first (`make` runs
//! it); without the library every test that needs it says so.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy cannot see")]

mod generation;
mod inline;
mod model;
mod package;
mod tensors;
mod text;

use std::num::NonZeroUsize;

use nanogrid_onnx::{Error, Model, ModelOptions, Package};

fn options() -> ModelOptions {
    let number = |n| NonZeroUsize::new(n).unwrap();
    ModelOptions {
        workers: number(1),
        queue: number(8),
        max_batch_rows: number(8),
        max_batch_tokens: number(64),
        max_batch_pixels: number(1024),
        intra_op_threads: number(1),
    }
}

fn load(package: &Package) -> Result<Model, Error> {
    nanogrid_onnx::init(None).unwrap_or_else(|error| panic!("{error}"));
    Model::load(package, &options())
}
