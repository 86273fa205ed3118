use nanogrid_proto::tensor::Data;

use super::*;

fn spec(name: &str, datatype: &str, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.into(), datatype: datatype.into(), shape: shape.to_vec() }
}

fn signature() -> Signature {
    Signature {
        inputs: vec![spec("ids", "INT64", &[-1, -1]), spec("size", "FP32", &[-1, 2])],
        outputs: vec![spec("label", "BYTES", &[-1]), spec("score", "FP32", &[-1])],
        batched: true,
    }
}

fn ids(shape: &[usize]) -> Tensor {
    Tensor { name: "ids".into(), shape: shape.to_vec(), data: Data::I64(vec![0; shape.iter().product()]) }
}

fn size(shape: &[usize]) -> Tensor {
    Tensor { name: "size".into(), shape: shape.to_vec(), data: Data::F32(vec![0.0; shape.iter().product()]) }
}

#[track_caller]
fn check_refused(inputs: Vec<Tensor>, expected: &str) {
    assert_eq!(signature().check(inputs).unwrap_err().to_string(), expected);
}

#[test]
fn inputs_come_out_in_the_order_of_the_signature() {
    let (inputs, rows) = signature().check(vec![size(&[3, 2]), ids(&[3, 7])]).unwrap();
    assert_eq!((inputs[0].name.as_str(), inputs[1].name.as_str(), rows), ("ids", "size", 3));
}

#[test]
fn what_does_not_fit_is_named_with_what_would() {
    check_refused(vec![ids(&[3, 7])], "input `size` is missing: expected `size` FP32 [-1, 2]");
    check_refused(vec![ids(&[3, 7]), size(&[3, 3])], "input `size`: FP32 [3, 3] does not fit FP32 [-1, 2]");
    check_refused(vec![ids(&[3]), size(&[3, 2])], "input `ids`: INT64 [3] does not fit INT64 [-1, -1]");
    check_refused(vec![ids(&[3, 7]), size(&[2, 2])], "input `size`: 2 rows does not fit the 3 rows of `ids`");
    check_refused(vec![ids(&[0, 7]), size(&[0, 2])], "input `ids` has no rows");
    check_refused(vec![ids(&[1, 1]), ids(&[1, 1])], "input `ids` is there twice");
}

#[test]
fn outputs_are_found_by_name_and_all_of_them_are_wanted_when_none_is_named() {
    let asked = |name: &str| AskedOutput { name: name.into(), classification: None };
    let wanted = |names: &[&str]| {
        let asked: Vec<_> = names.iter().map(|name| asked(name)).collect();
        signature().outputs(&asked).map(|outputs| outputs.iter().map(|output| output.idx).collect::<Vec<_>>())
    };
    assert_eq!(wanted(&[]).unwrap(), [0, 1]);
    assert_eq!(wanted(&["score"]).unwrap(), [1]);
    assert_eq!(wanted(&["score", "label"]).unwrap(), [1, 0]);
    assert!(wanted(&["scores"]).unwrap_err().to_string().contains("`label` BYTES [-1], `score` FP32 [-1]"));
}
