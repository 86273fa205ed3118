//! The folder of one running grid: its grid file, one log per process, its state, and the lock that says it is alive.
//!
//! The lock belongs to the process, not to the file: whatever way `up` ends, the next one finds it free.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{error::Error, up::board::State};

/// How much of a log's end is read to say why a process ended.
const TAIL: u64 = 4096;

pub(crate) struct RunFolder {
    path: PathBuf,
}

/// Held for as long as a grid runs from the folder.
#[must_use = "dropped, it lets a second grid start in the same folder"]
pub(crate) struct Lock {
    _file: File,
}

impl RunFolder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn grid_file(&self) -> PathBuf {
        self.path.join("grid.toml")
    }

    /// Outlives the grid: the next one goes on where this one was.
    pub(crate) fn rollouts(&self) -> PathBuf {
        self.path.join("rollouts.json")
    }

    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.path.join(format!("{process}.log"))
    }

    /// Makes the folder and takes its lock, or says which grid has it.
    pub(crate) fn take(&self) -> Result<Lock, Error> {
        fs::create_dir_all(&self.path).map_err(Error::file("cannot make the folder", &self.path))?;
        match self.try_lock()? {
            Some(lock) => {
                // What an earlier grid left says nothing about this one.
                let _ = fs::remove_file(self.state_file());
                Ok(lock)
            }
            None => Err(match self.state() {
                Some(state) => Error::AlreadyUp { run: self.path.clone(), pid: state.pid, addr: state.addr },
                None => Error::Starting { run: self.path.clone() },
            }),
        }
    }

    /// `None` while a grid runs from this folder.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, Error> {
        let path = self.path.join("up.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::file("cannot open the lock", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::File { what: "cannot lock", path, source }),
        }
    }

    /// What the grid that runs from here last wrote; `None` when there is nothing readable.
    pub(crate) fn state(&self) -> Option<State> {
        serde_json::from_slice(&fs::read(self.state_file()).ok()?).ok()
    }

    pub(crate) fn write_state(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(state).expect("plain data, keys are strings");
        self.write("up.json", &text)
    }

    /// Readers see the old content or the new one, never half of it.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let (path, fresh) = (self.path.join(name), self.path.join(format!("{name}.new")));
        fs::write(&fresh, text).map_err(Error::file("cannot write", &fresh))?;
        fs::rename(&fresh, &path).map_err(Error::file("cannot replace", &path))
    }

    fn state_file(&self) -> PathBuf {
        self.path.join("up.json")
    }
}

/// The last line in `log` that is not empty.
pub(crate) fn last_line(log: &Path) -> Option<String> {
    tail(log)?.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

/// The end of `log`.
pub(crate) fn tail(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    Some(String::from_utf8_lossy(&end).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_grid_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunFolder::new(&folder.path().join("run"));
        let lock = run.take().expect("nobody has it");
        assert!(run.take().is_err(), "taken");
        drop(lock);
        assert!(run.take().is_ok(), "free again");
    }

    #[test]
    fn the_last_line_of_a_log_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("expert.log");
        fs::write(&log, "starting\nmodel.onnx: wrong hash\n\n").expect("written");
        assert_eq!(last_line(&log).as_deref(), Some("model.onnx: wrong hash"));
        assert_eq!(last_line(&folder.path().join("none.log")), None);
    }
}
