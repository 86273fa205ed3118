//! The files of a version's folder: all there, all named, all the ones that were named.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    num::NonZeroUsize,
    path::Path,
};

use nanogrid_settings::HfConfig;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{DECODER, FIRST_DECODER, entries, version_of};
use crate::Error;

/// Checks each file against its digest in version.toml, and returns the digest of the model.
pub(super) fn check(
    folder: &Path,
    files: &BTreeMap<String, String>,
    needed: &[&str],
) -> Result<String, Error> {
    if let Some(missing) = needed.iter().find(|name| !files.contains_key(**name)) {
        return Err(Error::file(
            folder.join("version.toml"),
            format!("files: `{missing}` is not named, and it is needed; add it with its sha256"),
        ));
    }
    for (name, expected) in files {
        let path = folder.join(name);
        let found = digest(&path)?;
        if found != *expected {
            return Err(Error::file(
                path,
                format!(
                    "is not the file that version.toml names: expected sha256 {expected}, found {found}; restore the file, \
                     or if it was changed on purpose make a new version"
                ),
            ));
        }
    }
    // A model may pull in files beside it (external weights): what is not named is not checked, so it may not be there.
    let unnamed = entries(folder).find_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name == "version.toml" || name.starts_with('.') || files.contains_key(&name);
        (!ours && entry.path().is_file()).then_some(name)
    });
    match unnamed {
        Some(name) => Err(Error::file(
            folder.join(name),
            "is not named under `files` in version.toml, and every file of a version must be; add its sha256, or remove it",
        )),
        None => {
            let graphs = files.iter().filter(|(name, _)| is_graph(name, needed));
            Ok(digest_of_model(graphs.map(|(_, digest)| digest.clone()).collect()))
        }
    }
}

/// Checks that what is needed is there, and returns the digest of the model.
pub(super) fn exist(folder: &Path, needed: &[&str]) -> Result<String, Error> {
    if let Some(missing) = needed.iter().find(|name| !folder.join(name).is_file()) {
        return Err(Error::file(
            folder,
            format!(
                "holds no {missing}; a package is a folder with expert.toml, or one with {}",
                needed.join(", ")
            ),
        ));
    }
    let mut graphs: Vec<_> = needed.iter().copied().chain([FIRST_DECODER]).collect();
    graphs.retain(|name| is_graph(name, needed) && folder.join(name).is_file());
    graphs.sort_unstable();
    Ok(digest_of_model(graphs.iter().map(|name| digest(&folder.join(name))).collect::<Result<_, _>>()?))
}

/// Whether the file decides what the model says.
fn is_graph(name: &str, needed: &[&str]) -> bool {
    let is_needed = needed.contains(&name) || (name == FIRST_DECODER && needed.contains(&DECODER));
    is_needed && name.ends_with(".onnx")
}

/// Of the digests of its graphs, in the order of their names.
fn digest_of_model(mut digests: Vec<String>) -> String {
    match digests.len() {
        1 => digests.remove(0),
        _ => digest_of(digests.join("\n").as_bytes()),
    }
}

/// The longest input of an export, from its tokenizer's and its model's settings: the smaller of the two.
pub(super) fn max_tokens(folder: &Path, config: Option<&HfConfig>) -> Result<Option<NonZeroUsize>, Error> {
    #[derive(Deserialize)]
    struct TokenizerConfig {
        // Written as 1e30 where there is no limit.
        model_max_length: Option<f64>,
    }
    let path = folder.join("tokenizer_config.json");
    let of_tokenizer = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<TokenizerConfig>(&bytes)
            .map_err(|error| Error::file(&path, error.to_string()))?
            .model_max_length
            .filter(|length| (1.0..=f64::from(u32::MAX)).contains(length))
            .and_then(|length| NonZeroUsize::new(length as usize)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::file(&path, format!("cannot be read: {error}"))),
    };
    let of_model = config.and_then(|config| config.max_tokens);
    Ok(of_tokenizer.into_iter().chain(of_model).min())
}

/// The versions in an expert's folder, for a message.
pub(super) fn versions(folder: &Path) -> String {
    let mut versions: Vec<_> = entries(folder).filter_map(|entry| version_of(&entry.path())).collect();
    versions.sort_unstable();
    let versions: Vec<_> = versions.iter().map(|version| format!("`{version}`")).collect();
    if versions.is_empty() { "none".into() } else { versions.join(", ") }
}

pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Streams, because a model may be larger than the memory that is free.
fn digest(path: &Path) -> Result<String, Error> {
    let failed = |error: io::Error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let problem =
            if missing { "is missing, but version.toml names it; restore it" } else { "cannot be read" };
        Error::file(path, format!("{problem} ({error})"))
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}
