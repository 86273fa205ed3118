//! `nanogrid check`: needs no grid, finds everything at once, and says where to mend it.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use harness::{nanogrid, root};
use serde_json::Value;
use tempfile::TempDir;

const GRID: &str = r#"
[[expert]]
name = "intent"
task = "text-classification"

[[expert.version]]
version = 1
endpoints = ["static://127.0.0.1:7001"]
"#;

fn grid_file(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("grid.toml"), text).expect("written");
    folder
}

fn check(arguments: &[&str], path: &Path) -> Output {
    nanogrid(&["check"]).args(arguments).arg(path).output().expect("runs")
}

#[track_caller]
fn is_wrong(output: &Output, says: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for part in says {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_sound_grid_file_is_ok() {
    let folder = grid_file(GRID);
    let output = check(&["--grid"], &folder.path().join("grid.toml"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 experts at 1 endpoints"), "{output:?}");
}

#[test]
fn everything_wrong_in_a_grid_file_is_told_with_line_key_and_value() {
    let folder = grid_file(&GRID.replace("intent", "Intent!").replace("version = 1", "version = 0"));
    let output = check(&["--grid"], &folder.path().join("grid.toml"));
    is_wrong(&output, &["grid.toml:3", "Intent!", "grid.toml:7", "version"]);
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let folder = grid_file("[[expert]]\nname = \n");
    is_wrong(&check(&["--grid"], &folder.path().join("grid.toml")), &["grid.toml:2"]);
}

#[test]
fn a_missing_file_is_named() {
    is_wrong(&check(&["--grid"], Path::new("/nowhere/grid.toml")), &["/nowhere/grid.toml"]);
}

#[test]
fn the_catalog_and_the_classifier_of_this_project_are_sound_and_load() {
    let output = nanogrid(&["check", "--load", "--json"]).output().expect("runs");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["ok"], true, "{json:#}");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        json["checked"].as_array().expect("a list").len() >= 4,
        "three experts and the classifier: {json:#}"
    );
}

/// The expert `language`, copied to this folder; its shipped version.
fn copied(language: &Path) -> PathBuf {
    harness::copy(&root().join("experts/catalog/language"), language);
    language.join(harness::default_version(language).to_string())
}

#[test]
fn a_package_with_another_model_than_its_manifest_says_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let language = folder.path().join("language");
    let version = copied(&language);
    fs::write(version.join("model.onnx"), "not the model").expect("written");
    is_wrong(&check(&[], &language), &["model.onnx", "sha256"]);
}

#[test]
fn a_package_without_its_tokenizer_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let language = folder.path().join("language");
    let version = copied(&language);
    fs::remove_file(version.join("tokenizer.json")).expect("removed");
    is_wrong(&check(&[], &language), &["tokenizer.json"]);
}

#[test]
fn a_default_version_without_a_folder_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let expert = folder.path().join("language");
    harness::copy(&root().join("experts/catalog/language"), &expert);
    let manifest = fs::read_to_string(expert.join("expert.toml")).expect("a manifest");
    fs::write(expert.join("expert.toml"), manifest.replace("default-version = 1", "default-version = 7"))
        .expect("written");
    is_wrong(&check(&[], &expert), &["expert.toml", "default-version", "7"]);
}

#[test]
fn nothing_to_check_is_said() {
    let empty = tempfile::tempdir().expect("a folder");
    let output = nanogrid(&["check"]).current_dir(empty.path()).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--catalog"), "{output:?}");
}
