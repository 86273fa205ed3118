//! The wire: nanogrid's own services, the Open Inference Protocol, and the tensors it carries.
//!
//! `src/gen` is generated from the `.proto` files beside it and checked in; `cargo test -p nanogrid-proto`
//! regenerates it and fails when it was stale.

pub mod json;
pub mod tensor;

/// nanogrid's own services: `Grid`, `Control`, `ExpertInfo`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!("gen/nanogrid.v1.rs");
}

/// The Open Inference Protocol v2 with Triton's extensions.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod inference {
    include!("gen/inference.rs");
}

/// Every service here and what it imports, for reflection and for JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
