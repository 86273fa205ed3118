//! How far it is. Rows are read ahead of the answers and how many there are is not known before the last one is read, so
//! until then their number is estimated from the bytes that those read so far took.

use std::{
    io::{self, IsTerminal},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

#[derive(Clone)]
pub(crate) struct Progress {
    /// On stderr, so that the report can be piped; nothing at all where nobody watches.
    bar: ProgressBar,
    /// Counts the bytes of the packed file; never shown.
    pub(crate) bytes: ProgressBar,
    size: Option<u64>,
    limit: u64,
    read: Arc<Read>,
}

#[derive(Default)]
struct Read {
    rows: AtomicU64,
    is_over: AtomicBool,
}

impl Progress {
    pub(crate) fn of(path: &Path, limit: Option<u64>) -> Self {
        let is_watched = io::stderr().is_terminal();
        let target = if is_watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let bar = match ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}, {eta} left") {
            Ok(style) => bar.with_style(style.progress_chars("#>-")),
            Err(_) => bar,
        };
        let size = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
        Self {
            bar,
            bytes: ProgressBar::hidden(),
            size,
            limit: limit.unwrap_or(u64::MAX),
            read: Arc::default(),
        }
    }

    /// One more row was read, or something in its place.
    pub(crate) fn read_one(&self) {
        self.read.rows.fetch_add(1, Ordering::Relaxed);
    }

    /// No more will be.
    pub(crate) fn read_all(&self) {
        self.read.is_over.store(true, Ordering::Release);
    }

    pub(crate) fn show(&self, n_done: u64, message: String) {
        if let Some(rows) = self.rows() {
            self.bar.set_length(rows.clamp(n_done, self.limit.max(n_done)));
        }
        self.bar.set_position(n_done);
        self.bar.set_message(message);
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// All rows of the file.
    fn rows(&self) -> Option<u64> {
        let is_over = self.read.is_over.load(Ordering::Acquire);
        let (rows, bytes) = (self.read.rows.load(Ordering::Relaxed), self.bytes.position());
        match self.size {
            _ if is_over => Some(rows),
            Some(size) if bytes > 0 => Some((rows as f64 * size as f64 / bytes as f64) as u64),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_rows_is_estimated_until_it_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.tsv");
        std::fs::write(&path, [b'a'; 1000]).expect("written");
        let progress = Progress::of(&path, Some(30));
        assert_eq!(progress.rows(), None, "nothing was read");
        (0..5).for_each(|_| progress.read_one());
        progress.bytes.set_position(100);
        assert_eq!(progress.rows(), Some(50));
        progress.show(1, String::new());
        assert_eq!(progress.bar.length(), Some(30), "no more are asked");
        progress.read_all();
        assert_eq!(progress.rows(), Some(5));
    }
}
