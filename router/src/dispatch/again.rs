//! Whether a call is tried again, when, and where. A retry is load that nobody ordered: it must be likely to help, it must be
//! in time, and there must be few of them.

use std::time::Duration;

use nanogrid_resilience::budget::Denied;
use nanogrid_telemetry::metrics::{AttemptKind, RetryDenied};
use rand::Rng;
use tokio::time::Instant;

use super::{
    Dispatch,
    call::Leg,
    pick::{Picked, Tried, has_other, is_other, pick},
};
use crate::error::{Again, CallError, Pushback};

/// The next try.
#[derive(Debug, PartialEq)]
pub(super) struct Next {
    pub(super) kind: AttemptKind,
    pub(super) wait: Duration,
    /// Not where it was tried before.
    pub(super) only_elsewhere: bool,
}

impl Dispatch {
    /// What to do after `error`; `None`: nothing would help, or nothing is left to try it with.
    pub(super) fn again(&self, leg: &Leg<'_>, tried: &Tried<'_>, error: &CallError) -> Option<Next> {
        let retry = &leg.expert.policy.retry;
        let only_elsewhere = match error.again() {
            Again::Never => return None,
            Again::Free => return free(leg, tried),
            Again::Anywhere => false,
            Again::Elsewhere(code) if retry.also_on.contains(&code) => true,
            Again::Elsewhere(_) => return None,
        };
        if tried.n_counted() >= retry.attempts {
            return None;
        }
        let is_other = has_other(leg.version, tried);
        if only_elsewhere && !is_other {
            return None;
        }
        let wait = match error.pushback() {
            Some(Pushback::Never) => {
                leg.expert.allowance.metrics.retry_denied(RetryDenied::Pushback);
                return None;
            }
            Some(Pushback::After(wait)) => wait,
            // Another endpoint is likely to be well, and waiting would help nobody.
            None if is_other && tried.n_counted() == 1 => Duration::ZERO,
            None => backoff(tried.n_counted().saturating_sub(1)),
        };
        let is_allowed = self.is_allowed(leg, wait);
        is_allowed.then_some(Next { kind: AttemptKind::Retry, wait, only_elsewhere })
    }

    /// Another endpoint, for a call that one has not answered for far too long.
    pub(super) fn may_rescue<'a>(&self, leg: &'a Leg<'a>, tried: &Tried<'_>) -> Option<Picked<'a>> {
        if tried.n_counted() >= leg.expert.policy.retry.attempts {
            return None;
        }
        let now = Instant::now();
        let picked = pick(leg.version, tried, |endpoint| is_other(endpoint, tried, now))?;
        self.is_allowed(leg, Duration::ZERO).then_some(picked)
    }

    /// One more try after `wait`: would it help, and is it left? Counted if not.
    fn is_allowed(&self, leg: &Leg<'_>, wait: Duration) -> bool {
        let allowance = &leg.expert.allowance;
        let usual = leg.version.pool.latency.p50().unwrap_or_default();
        let denied = if leg.version.is_mostly_shedding(Instant::now()) {
            // The client knows better than we do whether its request is worth another one's.
            Some(RetryDenied::Shedding)
        } else if leg.limit.left() <= wait + usual {
            Some(RetryDenied::NoTime)
        } else {
            // Whoever retries in front of us multiplies what we do.
            let ratio = leg.expert.policy.retry.budget / if leg.is_a_retry { 2.0 } else { 1.0 };
            match self.budget.withdraw(&allowance.retries, ratio) {
                Ok(()) => None,
                Err(Denied::Expert) => Some(RetryDenied::Budget),
                Err(Denied::Global) => Some(RetryDenied::Global),
            }
        };
        denied.inspect(|reason| allowance.metrics.retry_denied(*reason)).is_none()
    }
}

/// What never left costs no expert anything, so that it has no budget: only a bound. In a rolling restart each endpoint may
/// be met just as it goes away, so there is one more send than there are endpoints.
fn free(leg: &Leg<'_>, tried: &Tried<'_>) -> Option<Next> {
    let is_left = usize::try_from(tried.n_unsent()).is_ok_and(|n| n <= leg.version.endpoints.len());
    let next = Next { kind: AttemptKind::Transparent, wait: Duration::ZERO, only_elsewhere: false };
    (is_left && !leg.limit.left().is_zero()).then_some(next)
}

/// Full jitter (gRFC A6), so that calls that failed together do not come back together. The first step is about the time
/// of an answer here; A6's 100 ms would be ten of them.
fn backoff(n_retries: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_millis(250);
    let step = FIRST.saturating_mul(2_u32.saturating_pow(n_retries)).min(LONGEST);
    step.mul_f64(rand::rng().random_range(0.0..1.0))
}

#[cfg(test)]
mod tests;
