use nanogrid_proto::{
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::{self, Data, Tensor, TensorError},
};
use prost::Message;

/// A message of the Open Inference Protocol: the inputs of a request, the outputs of an answer, raw or typed.
///
/// # Panics
/// When a tensor does not hold what its shape says, takes much more memory than the message, or is not read again as it
/// was written.
pub fn tensors(bytes: &[u8]) {
    if let Ok(request) = ModelInferRequest::decode(bytes)
        && let Some(tensors) = checked(tensor::inputs(request), bytes.len())
    {
        let mut request = ModelInferRequest::default();
        tensor::set_inputs(&mut request, tensors.clone());
        assert_same(tensor::inputs(request).expect("written by ourselves"), tensors);
    }
    if let Ok(response) = ModelInferResponse::decode(bytes)
        && let Some(tensors) = checked(tensor::outputs(response), bytes.len())
    {
        let mut response = ModelInferResponse::default();
        tensor::set_outputs(&mut response, tensors.clone());
        assert_same(tensor::outputs(response).expect("written by ourselves"), tensors);
    }
}

/// A varint of one byte is 8 bytes as an integer of 64 bits; an empty BYTES element, 4 bytes long, is a slice of 32.
const MOST_PER_BYTE: usize = 16;

fn checked(read: Result<Vec<Tensor>, TensorError>, message_len: usize) -> Option<Vec<Tensor>> {
    let tensors = match read {
        Ok(tensors) => tensors,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a refusal has words");
            return None;
        }
    };
    for tensor in &tensors {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "{:?}", tensor.shape);
    }
    let memory: usize = tensors.iter().map(|tensor| size(&tensor.data)).sum();
    assert!(memory <= MOST_PER_BYTE * message_len, "{memory} bytes from {message_len}");
    Some(tensors)
}

fn size(data: &Data) -> usize {
    match data {
        Data::Bool(values) => size_of_val(&values[..]),
        Data::U8(values) => size_of_val(&values[..]),
        Data::U16(values) | Data::F16(values) | Data::Bf16(values) => size_of_val(&values[..]),
        Data::U32(values) => size_of_val(&values[..]),
        Data::U64(values) => size_of_val(&values[..]),
        Data::I8(values) => size_of_val(&values[..]),
        Data::I16(values) => size_of_val(&values[..]),
        Data::I32(values) => size_of_val(&values[..]),
        Data::I64(values) => size_of_val(&values[..]),
        Data::F32(values) => size_of_val(&values[..]),
        Data::F64(values) => size_of_val(&values[..]),
        Data::Bytes(values) => size_of_val(&values[..]),
    }
}

/// As text, because NaN is not equal to itself.
#[track_caller]
fn assert_same(again: Vec<Tensor>, tensors: Vec<Tensor>) {
    assert_eq!(format!("{again:?}"), format!("{tensors:?}"));
}
