//! Tensors of the Open Inference Protocol: what a request or an answer holds, checked once.
//!
//! The protocol has two forms: raw bytes beside the message, or typed lists inside it. Both are read; the raw form is written.
//! BYTES elements are slices of the message's own buffer: nothing is copied. A shape is a claim until the elements are
//! counted, so nothing is ever allocated from it; what is allocated is bounded by the bytes that arrived.

mod datatype;
mod error;
mod raw;
mod typed;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use bytes::Bytes;

pub use self::{
    datatype::Datatype,
    error::{Side, TensorError},
};
use crate::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
    model_infer_request::InferInputTensor, model_infer_response::InferOutputTensor,
};

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

impl Data {
    /// The protocol's name, e.g. `FP32` or `BYTES`.
    pub fn datatype(&self) -> &'static str {
        self.kind().as_str()
    }

    /// Which of the protocol's datatypes it is.
    pub fn kind(&self) -> Datatype {
        match self {
            Self::Bool(_) => Datatype::Bool,
            Self::U8(_) => Datatype::U8,
            Self::U16(_) => Datatype::U16,
            Self::U32(_) => Datatype::U32,
            Self::U64(_) => Datatype::U64,
            Self::I8(_) => Datatype::I8,
            Self::I16(_) => Datatype::I16,
            Self::I32(_) => Datatype::I32,
            Self::I64(_) => Datatype::I64,
            Self::F32(_) => Datatype::F32,
            Self::F64(_) => Datatype::F64,
            Self::F16(_) => Datatype::F16,
            Self::Bf16(_) => Datatype::Bf16,
            Self::Bytes(_) => Datatype::Bytes,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::U16(values) | Self::F16(values) | Self::Bf16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// No elements?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads the inputs of a request, raw or typed. Allocates no more than a small multiple of the message's size.
pub fn inputs(request: ModelInferRequest) -> Result<Vec<Tensor>, TensorError> {
    let claims = request.inputs.into_iter().map(Claim::from).collect();
    read(Side::Input, &request.model_name, claims, request.raw_input_contents)
}

/// Appends `tensors` to `request` as inputs in the raw form.
pub fn set_inputs(request: &mut ModelInferRequest, tensors: Vec<Tensor>) {
    for Tensor { name, shape, data } in tensors {
        request.inputs.push(InferInputTensor {
            name,
            datatype: data.datatype().to_owned(),
            shape: wire_shape(&shape),
            ..Default::default()
        });
        request.raw_input_contents.push(raw::write(data));
    }
}

/// Reads the outputs of a response, raw or typed.
pub fn outputs(response: ModelInferResponse) -> Result<Vec<Tensor>, TensorError> {
    let claims = response.outputs.into_iter().map(Claim::from).collect();
    read(Side::Output, &response.model_name, claims, response.raw_output_contents)
}

/// Appends `tensors` to `response` as outputs in the raw form.
pub fn set_outputs(response: &mut ModelInferResponse, tensors: Vec<Tensor>) {
    for Tensor { name, shape, data } in tensors {
        response.outputs.push(InferOutputTensor {
            name,
            datatype: data.datatype().to_owned(),
            shape: wire_shape(&shape),
            ..Default::default()
        });
        response.raw_output_contents.push(raw::write(data));
    }
}

fn wire_shape(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&size| i64::try_from(size).expect("elements in memory are fewer than 2^63")).collect()
}

/// What a message says of one of its tensors.
struct Claim {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    contents: InferTensorContents,
    in_shared_memory: bool,
}

impl From<InferInputTensor> for Claim {
    fn from(input: InferInputTensor) -> Self {
        let InferInputTensor { name, datatype, shape, parameters, contents } = input;
        let in_shared_memory = is_in_shared_memory(&parameters);
        Self { name, datatype, shape, contents: contents.unwrap_or_default(), in_shared_memory }
    }
}

impl From<InferOutputTensor> for Claim {
    fn from(output: InferOutputTensor) -> Self {
        let InferOutputTensor { name, datatype, shape, parameters, contents } = output;
        let in_shared_memory = is_in_shared_memory(&parameters);
        Self { name, datatype, shape, contents: contents.unwrap_or_default(), in_shared_memory }
    }
}

fn is_in_shared_memory(parameters: &std::collections::HashMap<String, InferParameter>) -> bool {
    parameters.contains_key("shared_memory_region")
}

fn read(side: Side, model: &str, claims: Vec<Claim>, raw: Vec<Bytes>) -> Result<Vec<Tensor>, TensorError> {
    check_names(&claims)?;
    if !raw.is_empty() {
        // Said first: with both forms the number of entries is usually wrong as well, and the lesser trouble.
        if let Some(claim) = claims.iter().find(|claim| !typed::is_empty(&claim.contents)) {
            return Err(TensorError::both_forms(side, &claim.name, model));
        }
        if raw.len() != claims.len() {
            return Err(TensorError::RawEntries { side, entries: raw.len(), tensors: claims.len() });
        }
        return claims
            .into_iter()
            .zip(raw)
            .map(|(claim, bytes)| claim.read(|kind, name, n| raw::read(kind, name, n, bytes)))
            .collect();
    }
    claims
        .into_iter()
        .map(|mut claim| {
            let contents = std::mem::take(&mut claim.contents);
            if typed::is_empty(&contents) {
                return claim.read(|kind, name, n| match n {
                    0 => raw::read(kind, name, 0, Bytes::new()),
                    _ => Err(TensorError::no_data(side, name, model)),
                });
            }
            claim.read(|kind, name, n| typed::read(kind, name, n, contents))
        })
        .collect()
}

fn check_names(claims: &[Claim]) -> Result<(), TensorError> {
    let mut seen = HashSet::with_capacity(claims.len());
    for claim in claims {
        if claim.in_shared_memory {
            return Err(TensorError::shared_memory(&claim.name));
        }
        if !seen.insert(claim.name.as_str()) {
            return Err(TensorError::duplicate_name(&claim.name));
        }
    }
    Ok(())
}

impl Claim {
    fn read(
        self,
        elements: impl FnOnce(Datatype, &str, usize) -> Result<Data, TensorError>,
    ) -> Result<Tensor, TensorError> {
        let kind =
            self.datatype.parse().map_err(|()| TensorError::unknown_datatype(&self.name, &self.datatype))?;
        let (shape, n_elements) = sizes(&self.name, &self.shape)?;
        let data = elements(kind, &self.name, n_elements)?;
        Ok(Tensor { name: self.name, shape, data })
    }
}

/// The shape and the number of elements that it claims.
fn sizes(name: &str, shape: &[i64]) -> Result<(Vec<usize>, usize), TensorError> {
    let sizes = shape
        .iter()
        .enumerate()
        .map(|(axis, &size)| usize::try_from(size).map_err(|_| TensorError::negative_size(name, axis, size)))
        .collect::<Result<Vec<_>, _>>()?;
    // Empty axes are left out of the product here, so that [0, 2^60] does not pass a size on that nobody can use.
    let fits = sizes
        .iter()
        .filter(|&&size| size > 0)
        .try_fold(1_usize, |product, &size| product.checked_mul(size))
        .is_some_and(|product| isize::try_from(product).is_ok());
    if !fits {
        return Err(TensorError::too_large(name, shape));
    }
    let n_elements = sizes.iter().product();
    Ok((sizes, n_elements))
}
