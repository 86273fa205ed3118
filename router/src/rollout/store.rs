//! Where rollouts outlive the router: a file that is replaced whole.
//!
//! A router that is killed goes on where it was. The file is written beside its place and renamed over it, so that it is
//! always one whole state; the disk is only waited for when a decision was taken, since losing a second of evidence to
//! a power cut is cheaper than writing a memory card to death.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::state::State;

/// A file, or nothing at all.
#[derive(Clone, Debug)]
pub enum Store {
    /// Rollouts end with the router.
    Memory,
    /// One router writes it.
    File(PathBuf),
}

/// Why a state cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is there, and cannot be opened.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not one of ours.
    #[error("{}: is no state of rollouts: {source}; move it away to begin without one", path.display())]
    Broken {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Store {
    /// What was saved last; an empty state when nothing was. A router that may have had a canary in traffic does not start
    /// by forgetting it, so a broken file is an error.
    pub fn load(&self) -> Result<State, StoreError> {
        let Self::File(path) = self else { return Ok(State::default()) };
        let error = |source| StoreError::Read { path: path.clone(), source };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(source) => return Err(error(source)),
        };
        serde_json::from_slice(&text).map_err(|source| StoreError::Broken { path: path.clone(), source })
    }

    /// Replaces what was saved. Blocks; `durable` also waits for the disk.
    pub fn save(&self, state: &State, durable: bool) -> Result<(), StoreError> {
        let Self::File(path) = self else { return Ok(()) };
        replace(path, state, durable).map_err(|source| StoreError::Write { path: path.clone(), source })
    }
}

fn replace(path: &Path, state: &State, durable: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&new, path)?;
    if durable {
        // The name, too.
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_nothing_is_an_empty_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::File(folder.path().join("deep/rollouts.json"));
        assert_eq!(store.load().expect("nothing yet"), State::default());
        let state = State::sample();
        for durable in [false, true] {
            store.save(&state, durable).expect("saved");
            assert_eq!(store.load().expect("saved before"), state);
        }
    }

    #[test]
    fn a_broken_file_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rollouts.json");
        fs::write(&path, "{\"rollouts\": 7}").expect("written");
        let error = Store::File(path.clone()).load().expect_err("broken").to_string();
        assert!(error.starts_with(&format!("{}: is no state of rollouts: ", path.display())), "{error}");
        assert!(error.ends_with("; move it away to begin without one"), "{error}");
    }
}
