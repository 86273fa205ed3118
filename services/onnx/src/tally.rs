//! What a model has done, counted without a lock.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What a model has done since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Runs of the graph that succeeded.
    pub executions: u64,
    /// Rows in them.
    pub rows: u64,
    /// Jobs thrown away unrun, because their caller had left or their deadline had passed.
    pub skipped: u64,
    /// Runs stopped, because nobody was waiting for them any more.
    pub stopped: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Panics caught in a worker thread.
    pub panics: u64,
    /// Jobs waiting in the queue now.
    pub waiting: usize,
}

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) executions: Count,
    pub(crate) rows: Count,
    pub(crate) skipped: Count,
    pub(crate) stopped: Count,
    pub(crate) failed: Count,
    pub(crate) panics: Count,
    observer: OnceLock<Observer>,
}

/// Told of every run: how many rows, how long.
type Observer = Box<dyn Fn(usize, Duration) + Send + Sync>;

/// A number that only grows. Nothing is ordered by it, so it is relaxed.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    /// The first observer stays.
    pub(crate) fn observe(&self, observer: impl Fn(usize, Duration) + Send + Sync + 'static) {
        let _ = self.observer.set(Box::new(observer));
    }

    /// The graph was run once.
    pub(crate) fn ran(&self, n_rows: usize, took: Duration) {
        self.executions.add(1);
        self.rows.add(n_rows as u64);
        if let Some(observer) = self.observer.get() {
            observer(n_rows, took);
        }
    }

    pub(crate) fn counters(&self, waiting: usize) -> Counters {
        Counters {
            executions: self.executions.get(),
            rows: self.rows.get(),
            skipped: self.skipped.get(),
            stopped: self.stopped.get(),
            failed: self.failed.get(),
            panics: self.panics.get(),
            waiting,
        }
    }
}
