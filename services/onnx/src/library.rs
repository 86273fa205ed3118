//! ONNX Runtime's shared library, found and loaded once per process.
//!
//! It is loaded at run time and not linked, so that a binary builds and its `--help` works on a machine without it, and
//! so that whoever runs it may bring another build. What can be wrong with a file somebody points at is therefore
//! an everyday matter here: each way ends in one sentence that says where to look.

use std::{
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use nanogrid_settings::env_path;
use ort::{LoadDynamicError, environment::Environment, logging::LogLevel};

use crate::Error;

/// The oldest ONNX Runtime that has the interface this was built for.
pub(crate) const OLDEST: &str = "1.24";

/// Where `fetch-onnxruntime` puts the library, below the cache's root.
const CACHED: &str = "onnxruntime/1.32.0/libonnxruntime.so.1.32.0";
const CACHE: &str = ".nanogrid";

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// Loads ONNX Runtime: `library` if given, else `ORT_DYLIB_PATH`, else the project's cache (`NANOGRID_CACHE`, or
/// `.nanogrid` in a folder above the executable or the current folder). Once it is loaded, further calls do nothing.
///
/// # Errors
/// One sentence that names the file and the way out. A later call may try again.
pub fn init(library: Option<&Path>) -> Result<(), Error> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if ENVIRONMENT.get().is_some() {
        return Ok(());
    }
    let path = library.map(Path::to_path_buf).or_else(|| env_path("ORT_DYLIB_PATH")).or_else(cached);
    let path = path.ok_or_else(|| problem("ONNX Runtime is missing: it is not in the project's cache"))?;
    let environment = load(&path)?;
    tracing::debug!(library = %path.display(), build = ort::info(), "loaded ONNX Runtime");
    let _ = ENVIRONMENT.set(environment);
    Ok(())
}

/// The process's one environment, once [`init`] has succeeded.
pub(crate) fn environment() -> Result<&'static Environment, Error> {
    ENVIRONMENT.get().ok_or(Error::NotInitialised)
}

fn cached() -> Option<PathBuf> {
    let moved = env_path("NANOGRID_CACHE").map(|cache| cache.join(CACHED));
    let starts = [std::env::current_exe(), std::env::current_dir()];
    let above =
        starts.iter().flatten().flat_map(|start| start.ancestors()).map(|dir| dir.join(CACHE).join(CACHED));
    moved.into_iter().chain(above).find(|path| path.is_file())
}

fn load(path: &Path) -> Result<Environment, Error> {
    // The dynamic loader says `cannot open shared object file` for all of these.
    if !path.exists() {
        return Err(problem(format!("ONNX Runtime is missing: there is no file {}", path.display())));
    }
    if !path.is_file() {
        return Err(problem(format!("ONNX Runtime is missing: {} is not a file", path.display())));
    }
    // Absolute, because ort looks for relative paths beside the executable first.
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // ort asserts where a library answers nonsense; that is a bad file as well, and no reason to die.
    let loaded = panic::catch_unwind(AssertUnwindSafe(|| {
        let builder = ort::init_from(path).map_err(|error| explain(path, &error))?;
        builder
            .with_name("nanogrid")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|error| problem(format!("{} cannot be started: {error}", path.display())))
    }));
    loaded.unwrap_or_else(|_| Err(problem(format!("{} does not behave like ONNX Runtime", path.display()))))
}

fn explain(path: &Path, error: &LoadDynamicError) -> Error {
    let path = path.display();
    problem(match error {
        LoadDynamicError::Dlopen { error, .. } => {
            format!("{path} is not a library that this machine can load ({error})")
        }
        LoadDynamicError::MissingApi { .. } => format!("{path} is a library, but not ONNX Runtime"),
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!("{path} is ONNX Runtime {version_str}, which is too old")
        }
        LoadDynamicError::InvalidVersionString => format!("{path} does not behave like ONNX Runtime"),
    })
}

fn problem(problem: impl Into<String>) -> Error {
    Error::Library { problem: problem.into() }
}

/// Everything that fails also comes back as an error to whoever asked, so the library's own words are for debugging:
/// as errors they would wake somebody for a request whose deadline passed.
fn log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal => tracing::error!(location, "{message}"),
        LogLevel::Error | LogLevel::Warning => tracing::debug!(location, "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::trace!(location, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY_OUT: &str = "; run `services/onnx/fetch-onnxruntime`, or point ORT_DYLIB_PATH or the setting `onnxruntime` \
                           at a libonnxruntime.so of version 1.24 or newer";

    #[track_caller]
    fn check(path: &Path, expected: &str) {
        let message = load(path).map(drop).expect_err("not a usable library").to_string();
        assert!(message.starts_with(expected) && message.ends_with(WAY_OUT), "{message}");
        assert!(!message.contains('\n'), "one sentence: {message}");
    }

    #[test]
    fn a_missing_library_is_one_sentence_with_the_way_out() {
        check(
            Path::new("/nowhere/libonnxruntime.so"),
            "ONNX Runtime is missing: there is no file /nowhere/libonnx",
        );
    }

    #[test]
    fn a_folder_is_no_library() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), &format!("ONNX Runtime is missing: {} is not a file", folder.path().display()));
    }

    #[test]
    fn a_file_that_is_no_library_is_said_to_be_none() {
        for bytes in [&b""[..], b"hello", b"\x7fELF and then nothing of the kind"] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            check(
                file.path(),
                &format!("{} is not a library that this machine can load (", file.path().display()),
            );
        }
    }

    #[test]
    fn a_library_that_is_not_onnx_runtime_is_said_to_be_another() {
        // The one other library that every machine with this test on it has.
        let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = libc
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5))
            .find(|path| path.contains("/libc."));
        let libc = Path::new(libc.expect("the C library is mapped"));
        check(libc, &format!("{} is a library, but not ONNX Runtime", libc.display()));
    }

    #[test]
    fn an_old_version_is_named() {
        let path = PathBuf::from("/opt/libonnxruntime.so");
        let error = LoadDynamicError::BadVersion { version_str: "1.17.3".into(), path: path.clone() };
        let message = explain(&path, &error).to_string();
        assert_eq!(
            message,
            format!("/opt/libonnxruntime.so is ONNX Runtime 1.17.3, which is too old{WAY_OUT}")
        );
    }
}
