use proptest::{collection::vec, prelude::*};
use prost::Message;

use super::*;
use crate::inference::InferTensorContents as Contents;

/// A request with one input `x`.
fn request(
    datatype: &str,
    shape: &[i64],
    raw: Option<&[u8]>,
    contents: Option<Contents>,
) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "intent".into(),
        inputs: vec![input("x", datatype, shape, contents)],
        raw_input_contents: raw.map(Bytes::copy_from_slice).into_iter().collect(),
        ..Default::default()
    }
}

fn input(name: &str, datatype: &str, shape: &[i64], contents: Option<Contents>) -> InferInputTensor {
    InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.into(),
        contents,
        ..Default::default()
    }
}

#[track_caller]
fn refused(request: ModelInferRequest, expected: &str) {
    let actual = inputs(request).expect_err("wrong").to_string();
    assert_eq!(actual, expected, "\n{actual}");
}

#[track_caller]
fn raw_refused(datatype: &str, shape: &[i64], raw: &[u8], expected: &str) {
    refused(request(datatype, shape, Some(raw), None), expected);
}

#[track_caller]
fn typed_refused(datatype: &str, shape: &[i64], contents: Contents, expected: &str) {
    refused(request(datatype, shape, None, Some(contents)), expected);
}

fn ints(values: &[i32]) -> Contents {
    Contents { int_contents: values.into(), ..Default::default() }
}

#[test]
fn both_forms_at_once_are_refused_in_the_words_of_triton() {
    refused(
        request("INT32", &[1], Some(&[0; 4]), Some(ints(&[0]))),
        "contents field must not be specified when using raw_input_contents for 'x' for model 'intent'",
    );
    // Older clients leave the empty message there.
    let empty = request("INT32", &[1], Some(&[1, 0, 0, 0]), Some(Contents::default()));
    assert_eq!(inputs(empty).expect("one form")[0].data, Data::I32(vec![1]));
}

#[test]
fn an_input_without_data_is_refused_in_the_words_of_triton() {
    let expected = "unable to find data for input tensor 'x' for model 'intent' in request.";
    refused(request("INT32", &[1], None, None), expected);
    refused(request("BYTES", &[], None, Some(Contents::default())), expected);
}

#[test]
fn an_output_without_data_says_so() {
    let mut response = ModelInferResponse { model_name: "intent".into(), ..Default::default() };
    response.outputs.push(InferOutputTensor {
        name: "y".into(),
        datatype: "FP32".into(),
        shape: vec![1],
        ..Default::default()
    });
    let error = outputs(response).expect_err("no data").to_string();
    assert_eq!(error, "unable to find data for output tensor 'y' for model 'intent' in response.");
}

#[test]
fn no_elements_need_no_data() {
    for raw in [None, Some(&[][..])] {
        let tensors = inputs(request("BYTES", &[0, 3], raw, None)).expect("empty");
        assert_eq!(tensors[0].shape, [0, 3]);
        assert_eq!(tensors[0].data, Data::Bytes(Vec::new()));
    }
    assert_eq!(inputs(ModelInferRequest::default()).expect("no inputs"), []);
}

#[test]
fn there_is_one_raw_entry_per_input() {
    let mut request = request("INT8", &[1], Some(&[1]), None);
    request.raw_input_contents.push(Bytes::from_static(&[1]));
    refused(request.clone(), "`raw_input_contents` must have one entry per input tensor, which are 1: 2");
    request.inputs.clear();
    refused(request, "`raw_input_contents` must have one entry per input tensor, which are 0: 2");
}

#[test]
fn a_name_is_used_once() {
    let mut request = request("INT8", &[1], Some(&[1]), None);
    request.inputs.push(input("x", "INT8", &[1], None));
    refused(request, "tensor `x`: the name is used twice");
}

#[test]
fn shared_memory_is_refused() {
    let mut request = request("INT8", &[1], None, None);
    request.inputs[0].parameters.insert("shared_memory_region".into(), InferParameter::default());
    refused(request, "tensor `x`: shared memory is not served: send the elements in the message");
}

#[test]
fn unknown_datatypes_are_refused() {
    let known =
        "BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BF16, BYTES";
    for datatype in ["", "STRING", "fp32"] {
        let expected = format!("tensor `x`: unknown datatype, expected one of {known}: `{datatype}`");
        raw_refused(datatype, &[1], &[1], &expected);
    }
}

#[test]
fn shapes_are_neither_negative_nor_beyond_memory() {
    raw_refused("INT8", &[1, -1], &[1], "tensor `x`: shape: axis 1 must not be negative: -1");
    raw_refused(
        "INT8",
        &[i64::MIN],
        &[1],
        "tensor `x`: shape: axis 0 must not be negative: -9223372036854775808",
    );
    let too_large = "tensor `x`: shape: more elements than memory can hold";
    raw_refused("INT8", &[1 << 40, 1 << 40], &[1], &format!("{too_large}: [1099511627776, 1099511627776]"));
    // Also where an empty axis makes the product 0: nobody could use the other sizes.
    raw_refused(
        "BYTES",
        &[0, 1 << 40, 1 << 40],
        &[],
        &format!("{too_large}: [0, 1099511627776, 1099511627776]"),
    );
    raw_refused(
        "INT8",
        &[i64::MAX; 9],
        &[1],
        &format!("{too_large}: [{}, …]", [i64::MAX; 8].map(|size| size.to_string()).join(", ")),
    );
}

#[test]
fn a_claimed_shape_allocates_nothing() {
    let n = i64::MAX;
    raw_refused(
        "BYTES",
        &[n],
        &[0; 4],
        &format!("tensor `x`: the shape says {n} elements, the raw bytes end after 1"),
    );
    raw_refused(
        "FP64",
        &[n],
        &[0; 8],
        &format!("tensor `x`: the shape says {n} elements of datatype FP64 with 8 bytes each, found 8 bytes"),
    );
    typed_refused("INT32", &[n], ints(&[1]), &format!("tensor `x`: the shape says {n} elements, found 1"));
}

#[test]
fn raw_bytes_are_exactly_the_elements() {
    raw_refused(
        "INT32",
        &[2],
        &[0; 7],
        "tensor `x`: the shape says 2 elements of datatype INT32 with 4 bytes each, found 7 bytes",
    );
    raw_refused(
        "INT32",
        &[2],
        &[0; 9],
        "tensor `x`: the shape says 2 elements of datatype INT32 with 4 bytes each, found 9 bytes",
    );
    raw_refused("BOOL", &[3], &[1, 0, 2], "tensor `x`: element 2: a BOOL must be 0 or 1: 2");
}

#[test]
fn lengths_of_bytes_do_not_lie() {
    raw_refused(
        "BYTES",
        &[1],
        b"\x05\0\0\0abcd",
        "tensor `x`: element 0: the length says 5 bytes, 4 are left",
    );
    raw_refused(
        "BYTES",
        &[1],
        b"\xff\xff\xff\xff",
        "tensor `x`: element 0: the length says 4294967295 bytes, 0 are left",
    );
    raw_refused(
        "BYTES",
        &[2],
        b"\x01\0\0\0a\x01\0",
        "tensor `x`: element 1: the length needs 4 bytes, 2 are left",
    );
    raw_refused(
        "BYTES",
        &[2],
        b"\x01\0\0\0a",
        "tensor `x`: the shape says 2 elements, the raw bytes end after 1",
    );
    raw_refused(
        "BYTES",
        &[1],
        b"\x01\0\0\0a\0\0\0\0",
        "tensor `x`: 4 bytes are left after the 1 elements that the shape says",
    );
}

#[test]
fn typed_elements_are_in_the_list_of_their_datatype() {
    typed_refused(
        "FP32",
        &[1],
        ints(&[1]),
        "tensor `x`: elements of datatype FP32 belong into `fp32_contents`, found `int_contents`",
    );
    let mut both = ints(&[1]);
    both.bytes_contents.push(Bytes::new());
    typed_refused(
        "INT32",
        &[1],
        both,
        "tensor `x`: elements of datatype INT32 belong into `int_contents`, found `bytes_contents`",
    );
    typed_refused("INT32", &[3], ints(&[1, 2]), "tensor `x`: the shape says 3 elements, found 2");
    typed_refused("FP16", &[1], ints(&[1]), "tensor `x`: datatype FP16 has no typed form: send it raw");
    typed_refused("BF16", &[1], ints(&[1]), "tensor `x`: datatype BF16 has no typed form: send it raw");
}

#[test]
fn narrow_integers_fit_their_datatype() {
    typed_refused("INT8", &[2], ints(&[-128, 128]), "tensor `x`: element 1: does not fit INT8: 128");
    typed_refused("INT16", &[1], ints(&[-32769]), "tensor `x`: element 0: does not fit INT16: -32769");
    let uints = Contents { uint_contents: vec![256], ..Default::default() };
    typed_refused("UINT8", &[1], uints, "tensor `x`: element 0: does not fit UINT8: 256");
}

#[test]
fn long_names_do_not_make_long_errors() {
    let mut request = request("INT8", &[1], None, None);
    request.inputs[0].name = "ü".repeat(1 << 20);
    request.model_name = "m".repeat(1 << 20);
    let error = inputs(request).expect_err("no data").to_string();
    assert!(error.len() < 500, "{}", error.len());
}

#[test]
fn rows_of_bytes_are_slices_of_the_message() {
    let raw = Bytes::from_static(b"\x02\0\0\0hi\x03\0\0\0you");
    let mut request = request("BYTES", &[2], None, None);
    request.raw_input_contents.push(raw.clone());
    let tensors = inputs(request).expect("good");
    let Data::Bytes(rows) = &tensors[0].data else { panic!("not BYTES") };
    assert_eq!(rows, &["hi", "you"]);
    assert!(rows.iter().all(|row| raw.as_ptr_range().contains(&row.as_ptr())), "copied");
}

#[test]
fn the_datatypes_have_the_names_of_the_protocol() {
    for datatype in Datatype::ALL {
        assert_eq!(datatype.as_str().parse(), Ok(datatype));
    }
}

/// The typed form of what has one; exact for every list.
fn typed(tensor: Tensor) -> Option<InferInputTensor> {
    let Tensor { name, shape, data } = tensor;
    let datatype = data.datatype();
    let mut contents = Contents::default();
    match data {
        Data::Bool(values) => contents.bool_contents = values,
        Data::U8(values) => contents.uint_contents = values.into_iter().map(u32::from).collect(),
        Data::U16(values) => contents.uint_contents = values.into_iter().map(u32::from).collect(),
        Data::U32(values) => contents.uint_contents = values,
        Data::U64(values) => contents.uint64_contents = values,
        Data::I8(values) => contents.int_contents = values.into_iter().map(i32::from).collect(),
        Data::I16(values) => contents.int_contents = values.into_iter().map(i32::from).collect(),
        Data::I32(values) => contents.int_contents = values,
        Data::I64(values) => contents.int64_contents = values,
        Data::F32(values) => contents.fp32_contents = values,
        Data::F64(values) => contents.fp64_contents = values,
        Data::Bytes(values) => contents.bytes_contents = values,
        Data::F16(_) | Data::Bf16(_) => return None,
    }
    Some(input(&name, datatype, &wire_shape(&shape), Some(contents)))
}

fn any_data() -> impl Strategy<Value = Data> {
    // Floats by value, not by bits: NaN is unequal to itself, and equality is what is tested.
    prop_oneof![
        vec(any::<bool>(), 0..9).prop_map(Data::Bool),
        vec(any::<u8>(), 0..9).prop_map(Data::U8),
        vec(any::<u16>(), 0..9).prop_map(Data::U16),
        vec(any::<u32>(), 0..9).prop_map(Data::U32),
        vec(any::<u64>(), 0..9).prop_map(Data::U64),
        vec(any::<i8>(), 0..9).prop_map(Data::I8),
        vec(any::<i16>(), 0..9).prop_map(Data::I16),
        vec(any::<i32>(), 0..9).prop_map(Data::I32),
        vec(any::<i64>(), 0..9).prop_map(Data::I64),
        vec(any::<f32>(), 0..9).prop_map(Data::F32),
        vec(any::<f64>(), 0..9).prop_map(Data::F64),
        vec(any::<u16>(), 0..9).prop_map(Data::F16),
        vec(any::<u16>(), 0..9).prop_map(Data::Bf16),
        vec(vec(any::<u8>(), 0..9).prop_map(Bytes::from), 0..9).prop_map(Data::Bytes),
    ]
}

fn any_tensors() -> impl Strategy<Value = Vec<Tensor>> {
    let shaped =
        |(i, data): (usize, Data)| Tensor { name: format!("x{i}"), shape: vec![1, data.len()], data };
    vec(any_data(), 0..4).prop_map(move |all| all.into_iter().enumerate().map(shaped).collect())
}

/// Whatever a client could write, with shapes and datatypes that are likely to be right now and then.
fn any_request() -> impl Strategy<Value = ModelInferRequest> {
    let datatype = prop_oneof![
        8 => proptest::sample::select(Datatype::ALL.to_vec()).prop_map(|kind| kind.as_str().to_owned()),
        1 => ".{0,5}",
    ];
    let axis = prop_oneof![8 => 0_i64..4, 1 => any::<i64>()];
    let contents = (vec(any::<i32>(), 0..3), vec(any::<u64>(), 0..3), vec(vec(any::<u8>(), 0..3), 0..3))
        .prop_map(|(int_contents, uint64_contents, bytes)| Contents {
            int_contents,
            uint64_contents,
            bytes_contents: bytes.into_iter().map(Bytes::from).collect(),
            ..Default::default()
        });
    let tensor = ("[xyz]", datatype, vec(axis, 0..4), proptest::option::of(contents))
        .prop_map(|(name, datatype, shape, contents)| input(&name, &datatype, &shape, contents));
    // Small bytes make plausible length prefixes.
    let raw = vec(prop_oneof![4 => Just(0_u8), 2 => 0_u8..5, 1 => any::<u8>()], 0..40).prop_map(Bytes::from);
    (vec(tensor, 0..3), vec(raw, 0..3)).prop_map(|(inputs, raw_input_contents)| ModelInferRequest {
        inputs,
        raw_input_contents,
        ..Default::default()
    })
}

proptest! {
    #[test]
    fn what_is_written_raw_is_read_again(tensors in any_tensors()) {
        let mut request = ModelInferRequest::default();
        set_inputs(&mut request, tensors.clone());
        prop_assert_eq!(inputs(request), Ok(tensors.clone()));

        let mut response = ModelInferResponse::default();
        set_outputs(&mut response, tensors.clone());
        let received = ModelInferResponse::decode(Bytes::from(response.encode_to_vec())).expect("encoded here");
        prop_assert_eq!(outputs(received), Ok(tensors));
    }

    #[test]
    fn what_is_typed_is_read_as_if_raw(tensors in any_tensors()) {
        let tensors: Vec<_> = tensors.into_iter().filter(|tensor| typed(tensor.clone()).is_some()).collect();
        let inputs_ = tensors.iter().cloned().filter_map(typed).collect();
        let request = ModelInferRequest { inputs: inputs_, ..Default::default() };
        prop_assert_eq!(inputs(request), Ok(tensors));
    }

    #[test]
    fn no_bytes_make_it_panic_and_what_is_read_is_whole(request in any_request()) {
        for tensor in inputs(request).into_iter().flatten() {
            prop_assert_eq!(tensor.data.len(), tensor.shape.iter().product::<usize>());
        }
    }

    #[test]
    fn no_elements_of_bytes_make_it_panic(raw in vec(any::<u8>(), 0..64), n in 0_i64..20) {
        let _ = inputs(request("BYTES", &[n], Some(&raw), None));
    }
}
