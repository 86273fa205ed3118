//! Tensors of the Open Inference Protocol: what a request or an answer holds, checked once.
//!
//! The protocol has two forms: raw bytes beside the message, or typed lists inside it. Both are read; the raw form is written.
//! BYTES elements are slices of the message's own buffer: nothing is copied.

use bytes::Bytes;

use crate::inference::{ModelInferRequest, ModelInferResponse};

/// One named tensor. The number of elements in `data` equals the product of `shape`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name of the input or output.
    pub name: String,
    /// Sizes of the axes, row-major.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Data,
}

/// The elements of a tensor, by datatype.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Data {
    Bool(Vec<bool>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// FP16 and BF16 as their bit patterns.
    F16(Vec<u16>),
    Bf16(Vec<u16>),
    /// Text is UTF-8; images and audio are the file's bytes.
    Bytes(Vec<Bytes>),
}

/// Why a message does not hold the tensors it says it holds. Every message names the tensor.
/// All of them are INVALID_ARGUMENT.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// Placeholder.
    #[error("placeholder")]
    Placeholder,
}

impl Data {
    /// The protocol's name, e.g. `FP32` or `BYTES`.
    pub fn datatype(&self) -> &'static str {
        unimplemented!()
    }
}

/// Reads the inputs of a request, raw or typed. Never allocates more than the message itself holds.
pub fn inputs(request: ModelInferRequest) -> Result<Vec<Tensor>, TensorError> {
    let _ = request;
    unimplemented!()
}

/// Appends `tensors` to `request` as inputs in the raw form.
pub fn set_inputs(request: &mut ModelInferRequest, tensors: Vec<Tensor>) {
    let _ = (request, tensors);
    unimplemented!()
}

/// Reads the outputs of a response, raw or typed.
pub fn outputs(response: ModelInferResponse) -> Result<Vec<Tensor>, TensorError> {
    let _ = response;
    unimplemented!()
}

/// Appends `tensors` to `response` as outputs in the raw form.
pub fn set_outputs(response: &mut ModelInferResponse, tensors: Vec<Tensor>) {
    let _ = (response, tensors);
    unimplemented!()
}
