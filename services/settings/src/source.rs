//! Process settings in layers: defaults, then a TOML file, then the environment (`NANOGRID__SECTION__KEY`).

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::Error;

/// Reads settings: the defaults of `T`, overridden by `file`, overridden by `NANOGRID__SECTION__KEY`.
/// Unknown keys are refused in both.
pub fn load<T: DeserializeOwned>(file: Option<&Path>) -> Result<T, Error> {
    let _ = file;
    unimplemented!()
}

/// A path from the environment, e.g. `ORT_DYLIB_PATH`; empty counts as absent.
pub fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}
