//! Experts that answer texts with texts, as a person meets them: in a grid of real processes, tested on rows, made of an export.

mod harness;

use std::{fs, path::PathBuf};

use bytes::Bytes;
use harness::{Grid, nanogrid, stderr, stdout};
use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
        infer_parameter::ParameterChoice,
    },
    tensor::{self, Data, Tensor},
};
use nanogrid_testkit::packages;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Case {
    folder: TempDir,
    catalog: PathBuf,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = folder.path().join("catalog");
        Self { folder, catalog }
    }

    fn catalog(&self) -> &str {
        self.catalog.to_str().expect("UTF-8")
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }
}

/// The first text of an answer.
#[track_caller]
fn text(answer: &Value) -> &Value {
    &answer["outcomes"][0]["text"]["text"]
}

/// With the Open Inference Protocol, through the router.
async fn translated(addr: &str, text: &str, num_beams: i64) -> Vec<Bytes> {
    let mut request = ModelInferRequest { model_name: "translate".to_owned(), ..Default::default() };
    let choice = Some(ParameterChoice::Int64Param(num_beams));
    request.parameters.insert("num_beams".to_owned(), InferParameter { parameter_choice: choice });
    let data = Data::Bytes(vec![Bytes::copy_from_slice(text.as_bytes())]);
    tensor::set_inputs(&mut request, vec![Tensor { name: "text".to_owned(), shape: vec![1], data }]);
    let mut client = GrpcInferenceServiceClient::connect(format!("http://{addr}")).await.expect("connected");
    let response = client.model_infer(request).await.expect("answered").into_inner();
    let outputs = tensor::outputs(response).expect("outputs");
    let Data::Bytes(texts) = &outputs[0].data else { panic!("`text` is BYTES") };
    texts.clone()
}

#[test]
fn a_grid_answers_texts_with_texts() {
    let case = Case::new();
    packages::translator(&case.catalog, "translate", &json!({}));
    let grid = Grid::up(&["--catalog", case.catalog()]);
    let answer = grid.json(0, &["infer", "one two", "--expert", "translate"]);
    assert_eq!(text(&answer), "eins zwei", "{answer:#}");
    assert_eq!(answer["complete"], true, "{answer:#}");
    let answer = grid.json(0, &["infer", "silence", "--expert", "translate"]);
    assert_eq!(answer["complete"], true, "an empty text is an answer: {answer:#}");
    let shown = stdout(&grid.run(&["infer", "two", "--expert", "translate"]));
    assert!(shown.contains("zwei"), "{shown}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    assert_eq!(runtime.block_on(translated(grid.addr(), "fork tine tip", 1)), ["a x one"]);
    assert_eq!(runtime.block_on(translated(grid.addr(), "fork tine tip", 4)), ["b z two"]);

    let rows = case.write("rows.tsv", "text\treference\none two\teins zwei\ntwo\tzwo\n");
    let report = grid.json(0, &["eval", "--expert", "translate", "--data", &rows]);
    assert_eq!(report["accuracy"]["value"], 0.5, "{report:#}");
    let chrf = report["chrf"].as_f64().expect("a number");
    assert!(chrf > 50.0 && chrf < 100.0, "{report:#}");
}

#[test]
fn an_export_becomes_a_package_with_golden_cases() {
    let case = Case::new();
    let texts = case.write("texts.txt", "one two\nsilence\n");
    let (folder, generation) = (case.folder.path(), json!({ "num_beams": 2 }));
    let exports = [
        ("translate", packages::hugging_face_translator(folder, "ours", &generation)),
        ("theirs", packages::optimum_translator(folder, "optimum", &generation)),
    ];
    for (name, export) in exports {
        let mut add =
            nanogrid(&["expert", "add", name, "--catalog", case.catalog(), "--texts", &texts, "--json"]);
        let output = add.arg("--from").arg(&export).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&said["task"], &said["golden_cases"]), (&json!("text-to-text"), &json!(2)), "{said:#}");
        assert!(said["parameters"].as_u64().expect("a number") > 1000, "{said:#}");

        let version = case.catalog.join(name).join("1");
        let golden = fs::read_to_string(version.join("golden.jsonl")).expect("golden cases");
        let first: Value = serde_json::from_str(golden.lines().next().expect("a case")).expect("JSON");
        assert_eq!((&first["text"], &first["output"]["text"]), (&json!("one two"), &json!("eins zwei")));
        assert!(first["output"]["score"].as_f64().expect("a number") < 0.0, "{first:#}");

        let checked = nanogrid(&["check", "--load"]).arg(&version).output().expect("runs");
        assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
        assert!(stdout(&checked).contains(&format!("{name} v1, text-to-text")), "{checked:?}");
    }
}

#[test]
fn an_export_without_a_decoder_is_refused_with_everything_it_lacks() {
    let case = Case::new();
    let export = packages::hugging_face_translator(case.folder.path(), "export", &json!({}));
    for name in ["decoder_with_past_model.onnx", "generation_config.json"] {
        fs::remove_file(export.join(name)).expect("removed");
    }
    let mut add = nanogrid(&["expert", "add", "translate", "--catalog", case.catalog()]);
    let output = add.arg("--from").arg(&export).output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for part in ["decoder_with_past_model.onnx", "generation_config.json", "there is no such file"] {
        assert!(stderr(&output).contains(part), "{part}: {output:?}");
    }
}
