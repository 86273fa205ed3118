//! Writes the seeds that are messages: every datatype in both forms, and answers with all that they may hold. Run it
//! again after a change of the protocol: `cargo run --package nanogrid-fuzz --example seeds`.

use std::{fs, path::Path};

use nanogrid_proto::{
    inference::{
        InferParameter, InferTensorContents as Contents, ModelInferRequest, ModelInferResponse,
        infer_parameter::ParameterChoice, model_infer_request::InferInputTensor,
    },
    json::to_json,
    tensor::{Data, Tensor, set_inputs, set_outputs},
    v1::{InferOptions, InferRequest, InferResponse, Series, infer_request::Payload},
};
use prost::Message;

fn main() {
    let tensors = all();
    let mut request = ModelInferRequest { model_name: "intent".to_owned(), ..Default::default() };
    let top_k = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(3)) };
    request.parameters.insert("top_k".to_owned(), top_k);
    set_inputs(&mut request, tensors.clone());
    write("tensors", "raw_request", &request.encode_to_vec());
    write(
        "json",
        "raw_request",
        to_json("inference.ModelInferRequest", &request).expect("it can be said").to_string().as_bytes(),
    );

    for tensor in &tensors {
        let kind = tensor.data.datatype().to_lowercase();
        let mut request = ModelInferRequest::default();
        set_inputs(&mut request, vec![tensor.clone()]);
        write("tensors", &format!("raw_{kind}"), &request.encode_to_vec());
        if let Some(contents) = typed(&tensor.data) {
            request.raw_input_contents.clear();
            request.inputs[0].contents = Some(contents);
            write("tensors", &format!("typed_{kind}"), &request.encode_to_vec());
        }
    }

    let mut response = ModelInferResponse { model_name: "intent".to_owned(), ..Default::default() };
    set_outputs(&mut response, tensors);
    write("tensors", "raw_response", &response.encode_to_vec());
    write("json", "raw_response", &response.encode_to_vec());

    let empty = InferInputTensor {
        name: "none".into(),
        datatype: "FP32".into(),
        shape: vec![0, 3],
        ..Default::default()
    };
    let empty = ModelInferRequest { inputs: vec![empty], ..Default::default() };
    write("tensors", "empty", &empty.encode_to_vec());

    let text = InferRequest {
        id: "7".to_owned(),
        payload: Some(Payload::Text("move 200 dollars".to_owned())),
        experts: vec!["intent".to_owned()],
        options: Some(InferOptions { top_k: 3, min_confidence: Some(0.5), ..Default::default() }),
        ..Default::default()
    };
    write(
        "json",
        "infer_text",
        to_json("nanogrid.v1.InferRequest", &text).expect("it can be said").to_string().as_bytes(),
    );
    let series = Payload::Series(Series { values: vec![0.5, f32::NAN, f32::INFINITY, -0.0], channels: 2 });
    let series = InferRequest { payload: Some(series), ..Default::default() };
    write(
        "json",
        "infer_series",
        to_json("nanogrid.v1.InferRequest", &series).expect("it can be said").to_string().as_bytes(),
    );
    let answer = InferResponse::default();
    write(
        "json",
        "answer",
        to_json("nanogrid.v1.InferResponse", &answer).expect("it can be said").to_string().as_bytes(),
    );
}

/// One tensor of each datatype.
fn all() -> Vec<Tensor> {
    let data = [
        Data::Bool(vec![true, false]),
        Data::U8(vec![0, u8::MAX]),
        Data::U16(vec![0, u16::MAX]),
        Data::U32(vec![0, u32::MAX]),
        Data::U64(vec![0, u64::MAX]),
        Data::I8(vec![i8::MIN, i8::MAX]),
        Data::I16(vec![i16::MIN, i16::MAX]),
        Data::I32(vec![i32::MIN, i32::MAX]),
        Data::I64(vec![i64::MIN, i64::MAX]),
        Data::F32(vec![0.5, f32::NAN]),
        Data::F64(vec![-0.5, f64::INFINITY]),
        Data::F16(vec![0x3c00, 0]),
        Data::Bf16(vec![0x3f80, 0]),
        Data::Bytes(vec!["two words".into(), "".into()]),
    ];
    let tensor = |data: Data| Tensor { name: data.datatype().to_lowercase(), shape: vec![1, 2], data };
    data.into_iter().map(tensor).collect()
}

/// The same inside the message, where the protocol has a list for it.
fn typed(data: &Data) -> Option<Contents> {
    let mut contents = Contents::default();
    match data {
        Data::Bool(values) => contents.bool_contents.clone_from(values),
        Data::U8(values) => contents.uint_contents = values.iter().map(|&value| value.into()).collect(),
        Data::U16(values) => contents.uint_contents = values.iter().map(|&value| value.into()).collect(),
        Data::U32(values) => contents.uint_contents.clone_from(values),
        Data::U64(values) => contents.uint64_contents.clone_from(values),
        Data::I8(values) => contents.int_contents = values.iter().map(|&value| value.into()).collect(),
        Data::I16(values) => contents.int_contents = values.iter().map(|&value| value.into()).collect(),
        Data::I32(values) => contents.int_contents.clone_from(values),
        Data::I64(values) => contents.int64_contents.clone_from(values),
        Data::F32(values) => contents.fp32_contents.clone_from(values),
        Data::F64(values) => contents.fp64_contents.clone_from(values),
        Data::F16(_) | Data::Bf16(_) => return None,
        Data::Bytes(values) => contents.bytes_contents.clone_from(values),
    }
    Some(contents)
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target).join(name);
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
