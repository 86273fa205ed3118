//! The script that fetches ONNX Runtime, without a network: what it says when it cannot do its work, and that it leaves
//! nothing half done behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::{TempDir, tempdir};

const LIBRARY: &str = "onnxruntime/1.32.0/libonnxruntime.so.1.32.0";

/// A wheel that pip takes for the one that is asked for.
const FORGE: &str = r#"
import sys, zipfile
for machine in ("x86_64", "aarch64"):
    name = f"onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_{machine}.whl"
    with zipfile.ZipFile(f"{sys.argv[1]}/{name}", "w") as wheel:
        info = "onnxruntime-1.32.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: onnxruntime\nVersion: 1.32.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        wheel.writestr(f"{info}/RECORD", "")
"#;

struct Fetch {
    cache: TempDir,
    command: Command,
}

impl Fetch {
    fn new() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fetch-onnxruntime");
        let cache = tempdir().expect("a temporary folder");
        let mut command = Command::new(python());
        // An index that is not there, should anything ask for one.
        command
            .arg(script)
            .env("NANOGRID_CACHE", cache.path())
            .env("PIP_NO_INDEX", "1")
            .env_remove("PIP_FIND_LINKS");
        Self { cache, command }
    }

    /// Fails, leaves no library and no other file, and says all of `parts`.
    #[track_caller]
    fn fails(mut self, parts: &[&str]) {
        let output = self.command.output().expect("python3 runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        for part in parts {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
        assert!(!said.contains("Traceback"), "{said}");
        let folder = self.cache.path().join(LIBRARY);
        let left: Vec<_> = fs::read_dir(folder.parent().expect("a folder")).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn python() -> PathBuf {
    let Output { stdout, .. } = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("python3 is there: fetching the library needs it");
    String::from_utf8_lossy(&stdout).trim().into()
}

#[test]
fn a_library_in_the_cache_is_enough() {
    let mut fetch = Fetch::new();
    let library = fetch.cache.path().join(LIBRARY);
    fs::create_dir_all(library.parent().expect("a folder")).unwrap();
    fs::write(&library, "").unwrap();
    let output = fetch.command.output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), library.display().to_string());
}

#[test]
fn an_index_without_the_wheel_is_reported_with_pips_own_words() {
    Fetch::new().fails(&[
        "pip could not download onnxruntime 1.32.0",
        "check the network",
        "pip said:",
        "No matching",
    ]);
}

#[test]
fn another_wheel_than_the_pinned_one_is_refused() {
    let wheels = tempdir().unwrap();
    assert!(Command::new(python()).args(["-c", FORGE]).arg(wheels.path()).status().unwrap().success());
    let mut fetch = Fetch::new();
    fetch.command.env("PIP_FIND_LINKS", wheels.path());
    fetch.fails(&["is not the wheel that was pinned: expected sha256 ", ", found ", "nothing was kept"]);
}

#[test]
fn a_python_without_pip_says_how_to_get_it() {
    let broken = tempdir().unwrap();
    fs::create_dir(broken.path().join("pip")).unwrap();
    fs::write(broken.path().join("pip/__init__.py"), "raise ImportError").unwrap();
    let mut fetch = Fetch::new();
    fetch.command.env("PYTHONPATH", broken.path()).env("PATH", broken.path());
    fetch.fails(&["pip is missing: install it", "ORT_DYLIB_PATH"]);
}

#[test]
fn a_machine_without_a_wheel_is_told_which_have_one() {
    let mut fetch = Fetch::new();
    fetch.command.args(["--machine", "riscv64"]);
    fetch
        .fails(&["no onnxruntime 1.32.0 wheel for `riscv64`, only for x86_64 and aarch64", "ORT_DYLIB_PATH"]);
}

#[test]
fn a_cache_that_cannot_be_written_says_where_another_can_be() {
    let mut fetch = Fetch::new();
    let file = fetch.cache.path().join("file");
    fs::write(&file, "").unwrap();
    fetch.command.env("NANOGRID_CACHE", &file);
    fetch.fails(&["cannot write into the cache", "NANOGRID_CACHE=<folder>"]);
}
