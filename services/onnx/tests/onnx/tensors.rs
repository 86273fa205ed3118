use nanogrid_onnx::{Datatype, Elements, Package, RunError, TensorValue};
use nanogrid_testkit::packages;
use tempfile::tempdir;

use crate::load;

fn floats(name: &str, shape: &[i64], values: &[f32]) -> TensorValue {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorValue { name: name.into(), shape: shape.to_vec(), elements: Elements::Raw(Datatype::Fp32, bytes) }
}

async fn add(inputs: Vec<TensorValue>) -> Result<Vec<TensorValue>, RunError> {
    let dir = tempdir().unwrap();
    let model = load(&Package::open(&packages::add(dir.path(), "adder")).unwrap()).unwrap();
    model.run_tensors(inputs, None).await.map(|run| run.outputs)
}

#[tokio::test]
async fn tensors_in_tensors_out() {
    let outputs = add(vec![floats("b", &[2], &[10.0, 20.0]), floats("a", &[2], &[1.0, 2.0])]).await.unwrap();
    assert_eq!(outputs, [floats("sum", &[2], &[11.0, 22.0])]);
    let empty = add(vec![floats("a", &[0], &[]), floats("b", &[0], &[])]).await.unwrap();
    assert_eq!(empty, [floats("sum", &[0], &[])]);
}

#[tokio::test]
async fn every_type_of_the_wire_passes_unchanged() {
    let dir = tempdir().unwrap();
    let model = load(&Package::open(&packages::echo(dir.path(), "echo")).unwrap()).unwrap();
    assert_eq!(model.inputs().len(), 14);
    let inputs: Vec<_> = model
        .inputs()
        .iter()
        .map(|input| {
            let bytes = 1..=3 * input.datatype.size() as u8;
            let elements = if input.datatype == Datatype::Bytes {
                Elements::Text(vec!["one".into(), "zw\u{f6}lf".into(), String::new()])
            } else if input.datatype == Datatype::Bool {
                Elements::Raw(Datatype::Bool, vec![1, 0, 1])
            } else {
                Elements::Raw(input.datatype, bytes.collect())
            };
            TensorValue { name: input.name.clone(), shape: vec![3], elements }
        })
        .collect();
    let run = model.run_tensors(inputs.clone(), None).await.unwrap();
    for input in inputs {
        let output = run.outputs.iter().find(|output| output.name == format!("{}_out", input.name)).unwrap();
        assert_eq!((&output.shape, &output.elements), (&input.shape, &input.elements), "{}", input.name);
    }
}

#[tokio::test]
async fn what_does_not_fit_the_graph_is_the_callers_fault_and_said_by_name() {
    let a = || floats("a", &[2], &[1.0, 2.0]);
    let wrong_type = TensorValue {
        name: "b".into(),
        shape: vec![2],
        elements: Elements::Raw(Datatype::Int32, vec![0; 8]),
    };
    for (b, expected) in [
        (None, "input `b` is missing"),
        (Some(a()), "input `a` is there twice"),
        (
            Some(floats("c", &[1], &[1.0])),
            "input `c` is unknown: the model takes `a` FP32 [-1], `b` FP32 [-1]",
        ),
        (Some(wrong_type), "input `b`: expected datatype FP32, found INT32"),
        (Some(floats("b", &[1, 2], &[1.0, 2.0])), "input `b`: expected shape [-1], found [1, 2]"),
        (Some(floats("b", &[-2], &[1.0, 2.0])), "input `b`: expected shape [-1], found [-2]"),
        (Some(floats("b", &[3], &[1.0, 2.0])), "input `b`: shape [3] does not hold 8 bytes of FP32"),
        (Some(floats("b", &[i64::MAX], &[1.0])), "does not hold 4 bytes of FP32"),
    ] {
        let error = add([a()].into_iter().chain(b).collect()).await.unwrap_err();
        assert!(matches!(&error, RunError::Invalid(why) if why.contains(expected)), "{expected}: {error:?}");
    }
}

#[tokio::test]
async fn what_only_the_graph_can_refuse_is_a_failed_run() {
    let inputs = vec![floats("a", &[2], &[1.0, 2.0]), floats("b", &[3], &[1.0, 2.0, 3.0])];
    assert!(matches!(add(inputs).await, Err(RunError::Failed(_))));
}
