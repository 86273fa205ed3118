//! Models so small that handing a job to a thread costs more than running it.
//!
//! A hand-over and the way back are two wake-ups, several microseconds of CPU each and more of latency; the router's
//! classifier answers in 10 to 30. So it runs where it is asked. A handful of sessions stand ready, one for each of the
//! runtime's threads, and with that many nobody ever waits for one.

use std::{
    fmt,
    num::NonZeroUsize,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
};

use ort::session::builder::PrepackedWeights;

use crate::{Error, Package, RunError, Tokens, session::OrtEngine, worker::finite};

/// A few sessions of one model, run on the thread of whoever calls. For models that take well under 100 microseconds.
pub struct Inline {
    sessions: Vec<Mutex<OrtEngine>>,
    next: AtomicUsize,
}

impl Inline {
    /// Opens `sessions` sessions (one for each thread that will call), checks and warms them as
    /// [`Model::load`](crate::Model::load) does.
    ///
    /// # Errors
    /// When ONNX Runtime is not loaded, or the graph cannot be, does not fit its manifest, or cannot be run.
    pub fn load(package: &Package, sessions: NonZeroUsize) -> Result<Self, Error> {
        let shared = (sessions.get() > 1).then(PrepackedWeights::new);
        let open = || OrtEngine::open(package, NonZeroUsize::MIN, shared.as_ref()).map(Mutex::new);
        let sessions = (0..sessions.get()).map(|_| open()).collect::<Result<_, _>>()?;
        Ok(Self { sessions, next: AtomicUsize::new(0) })
    }

    /// The logits of one text. Blocks for as long as the model takes, and cannot be stopped.
    ///
    /// # Errors
    /// When the model fails, or gives something that is not a number.
    pub fn run(&self, tokens: &Tokens) -> Result<Vec<f32>, RunError> {
        let free = self.sessions.iter().find_map(|session| match session.try_lock() {
            Ok(session) => Some(session),
            // A session has no state between runs, so one whose last run panicked is as good as before.
            Err(TryLockError::Poisoned(session)) => Some(session.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        let mut session = free.unwrap_or_else(|| {
            let next = self.next.fetch_add(1, Ordering::Relaxed) % self.sessions.len();
            self.sessions[next].lock().unwrap_or_else(PoisonError::into_inner)
        });
        let run = panic::catch_unwind(AssertUnwindSafe(|| session.text(&[&tokens.ids])));
        let logits = run.unwrap_or_else(|_| Err(RunError::Failed("the model panicked".into())))?;
        let logits = logits.into_iter().next().unwrap_or_default();
        finite(&logits)?;
        Ok(logits)
    }
}

impl fmt::Debug for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inline").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}
