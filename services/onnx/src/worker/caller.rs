//! Who is still waiting for a run. A caller is a future, and futures are dropped at any time: at its deadline, when its
//! client hangs up. What it leaves behind is one mark here, and when the last caller of a run has made it, the run is
//! stopped, because its answer would go to nobody.
//!
//! ```text
//! Waiting --join--> Joined --part--> Waiting     (each run of a job)
//!    \                 \
//!     `-----leave-------`---> Left
//! ```

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Ends a run early.
pub(crate) trait Stop: Send + Sync {
    /// Takes effect soon; without effect once the run is over.
    fn stop(&self);
}

/// One run and how many wait for it.
pub(super) struct Running {
    present: AtomicUsize,
    stop: Arc<dyn Stop>,
}

impl Running {
    /// Counts one, for the worker itself.
    pub(super) fn new(stop: Arc<dyn Stop>) -> Arc<Self> {
        Arc::new(Self { present: AtomicUsize::new(1), stop })
    }

    pub(super) fn one_left(&self) {
        if self.present.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop.stop();
        }
    }

    pub(super) fn is_deserted(&self) -> bool {
        self.present.load(Ordering::Acquire) == 0
    }
}

/// What a job knows of its caller. Shared by the two; the lock is held for a few instructions only.
#[derive(Default)]
pub(crate) struct Caller(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    Joined(Arc<Running>),
    Left,
}

impl Caller {
    pub(crate) fn has_left(&self) -> bool {
        matches!(*self.state(), State::Left)
    }

    /// The caller will not read an answer.
    pub(crate) fn leave(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Left);
        if let State::Joined(running) = before {
            running.one_left();
        }
    }

    /// Its job takes part in a run.
    pub(super) fn join(&self, running: &Arc<Running>) {
        let mut state = self.state();
        if matches!(*state, State::Waiting) {
            running.present.fetch_add(1, Ordering::AcqRel);
            *state = State::Joined(Arc::clone(running));
        }
    }

    /// The run is over; leaving no longer concerns it.
    pub(super) fn part(&self) {
        let mut state = self.state();
        if matches!(*state, State::Joined(_)) {
            *state = State::Waiting;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
