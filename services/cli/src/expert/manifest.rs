//! version.toml of a model that came from elsewhere: what can be known of it by looking.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
    time::SystemTime,
};

use nanogrid_onnx::{Model, Outlet, Package};
use nanogrid_settings::package::Activation;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    error::Error,
    expert::export::{Export, TOKENIZER},
};

pub(crate) const FILE: &str = "version.toml";

/// In the order of the other manifests.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    version: u32,
    created: String,
    licence: String,
    architecture: String,
    max_tokens: usize,
    activation: &'static str,
    files: BTreeMap<String, String>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    size: Size,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    datatype: &'static str,
    shape: Vec<i64>,
}

#[derive(Serialize)]
struct Size {
    bytes: u64,
    parameters: u64,
}

/// Writes it into the folder of `package`, over whatever files are there now.
pub(crate) fn write(
    package: &Package,
    model: &Model,
    export: &Export,
    version: u32,
    licence: Option<&str>,
) -> Result<(), Error> {
    let folder = &package.folder;
    let manifest = Manifest {
        version,
        created: today(),
        licence: licence.unwrap_or("not stated").to_owned(),
        architecture: export.architecture.clone().unwrap_or_else(|| "not stated".to_owned()),
        max_tokens: package.max_tokens.get(),
        activation: match package.activation {
            Activation::Softmax => "softmax",
            Activation::Sigmoid => "sigmoid",
        },
        files: digests(folder)?,
        inputs: model.inputs().iter().map(tensor).collect(),
        outputs: model.outputs().iter().map(tensor).collect(),
        size: Size { bytes: bytes(folder, export)?, parameters: export.weights.parameters },
    };
    let text = toml::to_string(&manifest)
        .map_err(|error| Error::Package { problem: format!("{FILE} cannot be written: {error}") })?;
    let path = folder.join(FILE);
    fs::write(&path, text).map_err(Error::file("cannot write", path))
}

/// The day, as in `2026-11-23`.
fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take(10).collect()
}

fn tensor(outlet: &Outlet) -> Tensor {
    Tensor { name: outlet.name.clone(), datatype: outlet.datatype.as_str(), shape: outlet.shape.clone() }
}

/// Of every file, but those in folders, which are examples; a model may be larger than the memory that is free.
fn digests(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut digests = BTreeMap::new();
    for entry in folder.read_dir().map_err(Error::file("cannot read", folder))? {
        let path = entry.map_err(Error::file("cannot read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == FILE || path.is_dir() {
            continue;
        }
        let mut hasher = Sha256::new();
        File::open(&path)
            .and_then(|mut file| io::copy(&mut file, &mut hasher))
            .map_err(Error::file("cannot read", &path))?;
        digests.insert(name, format!("{:x}", hasher.finalize()));
    }
    Ok(digests)
}

/// Of the model, with the weights beside it, and the tokenizer.
fn bytes(folder: &Path, export: &Export) -> Result<u64, Error> {
    let is_counted =
        |name: &&str| name.ends_with(".onnx") || *name == TOKENIZER || export.weights.files.contains(*name);
    let names = export.files.iter().map(|(_, name)| name.as_str()).filter(is_counted);
    names
        .map(|name| folder.join(name))
        .filter(|path| path.is_file())
        .map(|path| path.metadata().map(|file| file.len()).map_err(Error::file("cannot read", &path)))
        .sum()
}
