//! Faults on purpose: operators and tests make a share of the calls to an expert slow, failing, or unanswered, to see that
//! the rest of the grid bears it. They sit where an attempt leaves, so that retries, breakers and hedges meet them as they
//! meet real ones. Only where the settings allow it; told in the log, counted, and shown, so that nobody hunts them as bugs.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::{FaultKind, RouterMetrics};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tracing::warn;

/// What is done to a share of the calls to one expert.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Whose calls.
    pub expert: ExpertName,
    /// Above 0, at most 1; the shares of one expert's faults sum to 1 at most.
    pub share: f64,
    /// Comes first.
    pub delay: Duration,
    /// What happens after the delay.
    pub then: Then,
    /// Ends by itself.
    pub until: Option<Instant>,
}

/// What becomes of a call once it was held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on.
    Send,
    /// It fails with this code instead of being sent.
    Fail(Code),
    /// It is neither sent nor answered.
    Hang,
}

/// The faults in force, replaced whole.
#[derive(Debug)]
pub struct Faults {
    allowed: bool,
    current: ArcSwap<Vec<Fault>>,
    rng: Mutex<StdRng>,
    metrics: RouterMetrics,
}

/// The settings do not allow faults.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("faults are not allowed here: set `faults.allowed = true` in the router's settings")]
pub struct NotAllowed;

/// A fault that has met a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a fault that does not happen is none"]
pub struct Injected {
    delay: Duration,
    then: Then,
}

impl Faults {
    /// None yet. Equal seeds meet equal calls.
    pub fn new(allowed: bool, seed: u64, metrics: RouterMetrics) -> Self {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        Self { allowed, current: ArcSwap::default(), rng, metrics }
    }

    /// May there be any?
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// Puts these in place of all before; none ends them.
    pub fn set(&self, faults: Vec<Fault>) -> Result<(), NotAllowed> {
        if !self.allowed {
            return Err(NotAllowed);
        }
        if faults.is_empty() && !self.list().is_empty() {
            warn!("faults cleared: calls are left alone again");
        }
        for Fault { expert, share, delay, then, until } in &faults {
            let lasts = until.map(|until| until.saturating_duration_since(Instant::now()));
            warn!(%expert, share, ?delay, ?then, ?lasts, "fault set: calls go wrong on purpose");
        }
        self.current.store(faults.into());
        Ok(())
    }

    /// Those in force now.
    pub fn list(&self) -> Vec<Fault> {
        let now = Instant::now();
        self.current.load().iter().filter(|fault| fault.is_in_force(now)).cloned().collect()
    }

    /// What happens to the attempt that is about to leave for `expert`.
    pub fn before(&self, expert: &ExpertName) -> Option<Injected> {
        let faults = self.current.load();
        if faults.is_empty() {
            return None;
        }
        let now = Instant::now();
        let mut faults =
            faults.iter().filter(|fault| fault.expert == *expert && fault.is_in_force(now)).peekable();
        faults.peek()?;
        // One draw for all of them: each meets its own share of the calls, and no call meets two.
        let mut drawn: f64 = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random();
        let fault = faults.find(|fault| {
            drawn -= fault.share;
            drawn < 0.0
        })?;
        let kind = match fault.then {
            Then::Send => FaultKind::Delay,
            Then::Fail(_) => FaultKind::Error,
            Then::Hang => FaultKind::Drop,
        };
        self.metrics.fault_injected(expert.as_str(), kind);
        Some(Injected { delay: fault.delay, then: fault.then })
    }
}

impl Fault {
    fn is_in_force(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Injected {
    /// Resolves when the call may be sent, or with what it got instead. A call that hangs never resolves: the caller's
    /// own limit ends it.
    pub async fn happen(self) -> Result<(), Status> {
        // A timer of zero is a turn through the scheduler, which is a delay too.
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        match self.then {
            Then::Send => Ok(()),
            Then::Fail(code) => Err(Status::new(code, "a fault injected by the router's operator")),
            Then::Hang => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
