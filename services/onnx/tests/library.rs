//! Loading ONNX Runtime happens once per process, so these tests have one of their own.

use std::{num::NonZeroUsize, path::Path, process::Command};

use nanogrid_onnx::{Inline, Package, init};
use nanogrid_testkit::packages;

const MISSING: &str = "/nowhere/libonnxruntime.so";

#[test]
fn a_failed_attempt_says_why_and_leaves_room_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let package = Package::open(&packages::text_classifier(dir.path(), "words", &["alpha"])).unwrap();
    let model = || Inline::load(&package, NonZeroUsize::MIN);
    assert!(model().unwrap_err().to_string().contains("call `nanogrid_onnx::init` before"));

    let message = init(Some(Path::new(MISSING))).unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("ONNX Runtime is missing: there is no file {MISSING}; run ")),
        "{message}"
    );
    let text = dir.path().join("words/1/config.json");
    let message = init(Some(&text)).unwrap_err().to_string();
    assert!(message.contains("config.json is not a library that this machine can load"), "{message}");

    init(None).unwrap_or_else(|error| panic!("{error}"));
    model().unwrap();
    init(Some(Path::new(MISSING))).expect("it is loaded already, so nothing is looked for");
}

#[test]
fn the_environment_comes_before_the_cache() {
    if nanogrid_settings::env_path("ORT_DYLIB_PATH").is_some_and(|path| path == Path::new(MISSING)) {
        assert!(init(None).unwrap_err().to_string().contains(MISSING));
        return;
    }
    // The same test in a process with that environment.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_environment_comes_before_the_cache"])
        .env("ORT_DYLIB_PATH", MISSING)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}
