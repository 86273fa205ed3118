use std::{fs, path::Path};

use nanogrid_onnx::Package;
use nanogrid_settings::{Task, package::Activation};
use nanogrid_testkit::packages;
use tempfile::{TempDir, tempdir};

use crate::load;

const LABELS: [&str; 3] = ["alpha", "beta", "gamma"];

fn expert() -> (TempDir, std::path::PathBuf) {
    let dir = tempdir().unwrap();
    let expert = packages::text_classifier(dir.path(), "words", &LABELS);
    (dir, expert)
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Opening fails, and the message holds each of `parts`.
#[track_caller]
fn refused(folder: &Path, parts: &[&str]) {
    let message = Package::open(folder).expect_err("a broken package").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn an_expert_folder_opens_its_default_version() {
    let (_dir, expert) = expert();
    packages::text_classifier_version(&expert, 2, &LABELS);
    let package = Package::open(&expert).unwrap();
    assert_eq!(
        (package.name.as_str(), package.version, package.task),
        ("words", 1, Task::TextClassification)
    );
    assert_eq!(*package.labels, LABELS);
    assert_eq!(package.max_tokens.get(), packages::MAX_TOKENS);
    assert_eq!(package.model_sha256.len(), 64);
}

#[test]
fn a_version_folder_opens_that_version_under_the_experts_name() {
    let (_dir, expert) = expert();
    let second = packages::text_classifier_version(&expert, 2, &["one", "two"]);
    let package = Package::open(&second).unwrap();
    assert_eq!((package.name.as_str(), package.version), ("words", 2));
    let first = Package::open(&expert).unwrap();
    assert_ne!(package.labels_sha256, first.labels_sha256);
    assert_ne!(package.model_sha256, first.model_sha256);
}

#[test]
fn a_hugging_face_folder_is_a_package_as_it_is() {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(dir.path(), "My_Model v2", &LABELS);
    let package = Package::open(&folder).unwrap();
    assert_eq!((package.name.as_str(), package.version), ("my-model-v2", 1));
    assert_eq!(*package.labels, LABELS);
    assert_eq!(package.activation, Activation::Softmax);
    assert_eq!(package.max_tokens.get(), packages::MAX_TOKENS, "max_position_embeddings");

    fs::write(folder.join("tokenizer_config.json"), r#"{"model_max_length": 12}"#).unwrap();
    assert_eq!(Package::open(&folder).unwrap().max_tokens.get(), 12, "the smaller of the two");
    fs::write(folder.join("tokenizer_config.json"), r#"{"model_max_length": 1e30}"#).unwrap();
    assert_eq!(Package::open(&folder).unwrap().max_tokens.get(), packages::MAX_TOKENS);
    replace(&folder.join("config.json"), "\"max_position_embeddings\":16", "\"x\":1");
    assert_eq!(Package::open(&folder).unwrap().max_tokens.get(), 512, "nothing says");
}

#[test]
fn a_numbered_folder_without_an_expert_is_named_after_its_parent() {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(&dir.path().join("classifier"), "3", &LABELS);
    let package = Package::open(&folder).unwrap();
    assert_eq!((package.name.as_str(), package.version), ("classifier", 3));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    refused(Path::new("/nowhere/intent"), &["/nowhere/intent", "there is no such package folder"]);
}

#[test]
fn an_empty_folder_says_what_a_package_is() {
    let dir = tempdir().unwrap();
    refused(dir.path(), &["holds no model.onnx", "expert.toml", "model.onnx, tokenizer.json, config.json"]);
}

#[test]
fn a_name_that_cannot_be_an_experts_says_how_to_mend_it() {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(dir.path(), "2nd", &LABELS);
    refused(&folder, &["2nd", "rename the folder, or add an expert.toml"]);
}

#[test]
fn a_default_version_without_a_folder_lists_those_there_are() {
    let (_dir, expert) = expert();
    packages::text_classifier_version(&expert, 12, &LABELS);
    replace(&expert.join("expert.toml"), "default-version = 1", "default-version = 7");
    refused(&expert, &["expert.toml", "no folder `7`", "only `1`, `12`"]);
}

#[test]
fn a_version_that_is_not_its_folders_name_is_refused() {
    let (_dir, expert) = expert();
    replace(&expert.join("1/version.toml"), "version = 1\n", "version = 4\n");
    refused(&expert, &["version.toml", "expected 1, the folder's name, found 4"]);
}

#[test]
fn a_changed_file_is_refused_with_both_digests() {
    let (_dir, expert) = expert();
    for name in ["model.onnx", "tokenizer.json", "config.json"] {
        let path = expert.join("1").join(name);
        let before = fs::read(&path).unwrap();
        let mut changed = before.clone();
        changed.push(b' ');
        fs::write(&path, changed).unwrap();
        refused(&expert, &[name, "expected sha256", "found", "restore the file"]);
        fs::write(&path, before).unwrap();
    }
    Package::open(&expert).unwrap();
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let (_dir, expert) = expert();
    fs::remove_file(expert.join("1/tokenizer.json")).unwrap();
    refused(&expert, &["tokenizer.json", "is missing", "restore it"]);
}

#[test]
fn a_needed_file_must_be_named_in_the_manifest() {
    let (_dir, expert) = expert();
    let version = expert.join("1");
    let manifest = fs::read_to_string(version.join("version.toml")).unwrap();
    let unnamed: Vec<_> = manifest.lines().filter(|line| !line.starts_with("\"config.json\"")).collect();
    fs::write(version.join("version.toml"), unnamed.join("\n")).unwrap();
    refused(&expert, &["version.toml", "`config.json` is not named", "add it with its sha256"]);
}

#[test]
fn a_file_that_nobody_vouches_for_is_refused() {
    let (_dir, expert) = expert();
    fs::write(expert.join("1/model.onnx.data"), "weights").unwrap();
    refused(&expert, &["model.onnx.data", "is not named under `files`", "remove it"]);
}

#[test]
fn labels_of_another_model_are_refused_before_it_is_loaded() {
    let (_dir, expert) = expert();
    let version = expert.join("1");
    fs::write(version.join("config.json"), r#"{"id2label": {"0": "alpha", "1": "beta"}}"#).unwrap();
    let manifest = fs::read_to_string(version.join("version.toml")).unwrap();
    let interface = &manifest[manifest.find("[[inputs]]").unwrap()..manifest.find("[size]").unwrap()];
    packages::seal(&version, 1, "", interface);
    refused(&expert, &["config.json", "expected 3 labels", "found 2"]);
}

#[test]
fn a_hugging_face_folder_without_labels_says_what_to_add() {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(dir.path(), "bare", &LABELS);
    fs::write(folder.join("config.json"), "{}").unwrap();
    refused(&folder, &["config.json", "has no labels", "add `\"id2label\""]);
}

#[test]
fn labels_that_the_graph_does_not_have_are_refused_when_it_is_loaded() {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(dir.path(), "mixed-up", &LABELS);
    fs::write(folder.join("config.json"), r#"{"id2label": {"0": "alpha", "1": "beta"}}"#).unwrap();
    let message = load(&Package::open(&folder).unwrap()).unwrap_err().to_string();
    assert!(message.contains("expected `logits` FP32 [-1, 2]"), "{message}");
    assert!(message.contains("found `logits` FP32 [-1, 3]"), "{message}");
}

#[test]
fn a_graph_that_is_not_what_the_manifest_promises_is_refused() {
    for (from, to) in [
        ("name = \"attention_mask\"", "name = \"mask\""),
        ("datatype = \"FP32\"", "datatype = \"FP16\""),
        ("shape = [-1, -1]", "shape = [-1, -1, -1]"),
        ("shape = [-1, 3]", "shape = [-1]"),
    ] {
        let (_dir, expert) = expert();
        replace(&expert.join("1/version.toml"), from, to);
        let message = match Package::open(&expert) {
            Ok(package) => load(&package).expect_err(to).to_string(),
            Err(error) => error.to_string(),
        };
        assert!(message.contains("version.toml"), "{message}");
        assert!(message.contains("the graph has `"), "{message}");
    }
}

#[test]
fn a_model_file_that_is_no_model_is_refused_with_the_runtimes_reason() {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(dir.path(), "broken", &LABELS);
    fs::write(folder.join("model.onnx"), "not a model").unwrap();
    let message = load(&Package::open(&folder).unwrap()).unwrap_err().to_string();
    assert!(message.contains("model.onnx: ONNX Runtime cannot load it: "), "{message}");
}

#[test]
fn a_graph_of_another_task_is_refused() {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(dir.path(), "adder", &LABELS);
    fs::write(folder.join("model.onnx"), nanogrid_testkit::graphs::add()).unwrap();
    let message = load(&Package::open(&folder).unwrap()).unwrap_err().to_string();
    assert!(message.contains("expected `input_ids`"), "{message}");
    assert!(message.contains("found `a` FP32 [-1], `b` FP32 [-1]"), "{message}");
}
