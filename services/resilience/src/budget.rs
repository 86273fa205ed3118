//! How many attempts beyond the first there may be, so that retries never become the load that breaks what they retry.
//!
//! tower's `TpsBudget` has the same purpose; ours differs where a small grid would notice. Looking and taking are one step,
//! so that a burst of failures cannot overdraw it. The share is exact (there, 15 % become one in six), and the minimum is a
//! minimum and not an addition: with 100 calls in 10 s and 10 %, it allows 10 more attempts and not 20.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::window::Window;

/// How long calls and attempts count, as in tower and Finagle: long enough for a share of few calls, and short enough that
/// a quiet night pays for nothing.
const TTL: Duration = Duration::from_secs(10);
/// One per second. An expert with two calls per second would otherwise have two retries in 10 s, and lose what was on its
/// way to an endpoint that died; 10 per second, tower's default, would be no limit for it.
const LEAST_IN_TTL: u32 = 10;
/// Of the calls, and not of the attempts: if everything fails, attempts are at most 1.1 times the calls.
const GLOBAL_RATIO: f32 = 0.1;

/// Attempts beyond the first (retries, or hedges) of one expert: a share of its calls, and a few in any case.
#[derive(Debug)]
pub struct Budget {
    /// Allowed in any 10 s, however few the calls.
    least: u32,
    /// Calls, and attempts beyond the first.
    window: Mutex<Window>,
}

/// Attempts beyond the first of the whole router, retries and hedges alike: at most a tenth of its calls, whatever the
/// experts allow. The few that an expert is allowed in any case are allowed here as well.
#[derive(Debug)]
pub struct GlobalBudget {
    budget: Budget,
}

/// Which budget was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The expert's own.
    Expert,
    /// The router's.
    Global,
}

impl Budget {
    /// One per second in any case, ten of which may come at once.
    pub fn for_retries() -> Self {
        Self::new(LEAST_IN_TTL)
    }

    /// None in any case: a hedge is a luxury.
    pub fn for_hedges() -> Self {
        Self::new(0)
    }

    fn new(least: u32) -> Self {
        Self { least, window: Mutex::new(Window::new(TTL)) }
    }

    /// A call begins (once per call, not per attempt).
    pub fn deposit(&self) {
        self.lock().add(Instant::now(), [1, 0]);
    }

    /// Leave for one more attempt, if that keeps them within `ratio` of the calls of the last 10 s. The ratio comes with the
    /// question, since policies are reloaded and what was spent stays spent.
    pub fn withdraw(&self, ratio: f32) -> bool {
        let now = Instant::now();
        let mut window = self.lock();
        let [n_calls, n_more] = window.sums(now);
        // Rounded to what was written: as a float, 10 % of 10 is a little more than 1.
        let share = (f64::from(n_calls) * f64::from(ratio) + 1e-6).floor();
        let granted = f64::from(n_more) < share.max(f64::from(self.least));
        if granted {
            window.add(now, [0, 1]);
        }
        granted
    }

    fn refund(&self) {
        self.lock().take_back(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GlobalBudget {
    /// A budget that nobody has used yet.
    pub fn new() -> Self {
        Self { budget: Budget::for_retries() }
    }

    /// A call begins (once per call, not per attempt).
    pub fn deposit(&self) {
        self.budget.deposit();
    }

    /// Leave for one more attempt from the expert's budget and from this one; from neither if one of them is empty.
    pub fn withdraw(&self, expert: &Budget, ratio: f32) -> Result<(), Denied> {
        if !expert.withdraw(ratio) {
            return Err(Denied::Expert);
        }
        if !self.budget.withdraw(GLOBAL_RATIO) {
            expert.refund();
            return Err(Denied::Global);
        }
        Ok(())
    }
}

impl Default for GlobalBudget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
