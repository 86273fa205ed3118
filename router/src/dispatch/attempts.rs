//! The tries of one call: pick an endpoint, ask it, look at what came back, perhaps ask again. Usually one endpoint is
//! asked at a time. Beside one that is slow a second one is asked: early where the policy wants hedges, and late, before
//! too little time is left, in any case.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nanogrid_telemetry::metrics::{AttemptKind, HedgeOutcome};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use super::{
    Dispatch,
    attempt::{Answer, Try},
    call::Leg,
    pick::{Picked, Tried, has_other, pick},
};
use crate::{endpoint::Endpoint, error::CallError};

/// What became of the tries.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) answer: Answer,
    /// Who gave it, or failed last.
    pub(super) endpoint: Option<Arc<str>>,
    pub(super) n_attempts: u32,
    pub(super) is_hedged: bool,
    /// A try before the last one speaks against the version.
    pub(super) has_failed: bool,
}

impl Dispatch {
    pub(super) async fn attempts<'a>(&self, leg: &'a Leg<'a>) -> Asked {
        let mut tried = Tried::default();
        let mut kind = AttemptKind::First;
        let mut only_elsewhere = false;
        let mut failed = None;
        loop {
            let may = |endpoint: &Endpoint| !only_elsewhere || !tried.has(endpoint);
            let Some(picked) = pick(leg.version, &tried, may) else {
                // Why the last one failed says more than that nobody else is left.
                let error = failed.unwrap_or_else(|| CallError::nobody(leg.version));
                return asked(Err(error), tried.last(), &tried);
            };
            let (answer, endpoint) = self.raced(leg, picked, kind, &mut tried).await;
            let error = match answer {
                Err(error) => error,
                answer => return asked(answer, Some(endpoint), &tried),
            };
            if matches!(error, CallError::NotSent { .. }) {
                tried.was_unsent();
            }
            let Some(next) = self.again(leg, &tried, &error) else {
                return asked(Err(error), Some(endpoint), &tried);
            };
            tried.has_failed |= error.is_the_versions_failure() && error.was_said();
            debug!(%error, wait = ?next.wait, kind = next.kind.as_str(), "trying again");
            if !next.wait.is_zero() {
                sleep(next.wait).await;
            }
            (kind, only_elsewhere, failed) = (next.kind, next.only_elsewhere, Some(error));
        }
    }

    /// Asks `first`, and when that is slow a second one beside it. The first answer wins, and the other is cancelled.
    async fn raced<'a>(
        &self,
        leg: &'a Leg<'a>,
        first: Picked<'a>,
        kind: AttemptKind,
        tried: &mut Tried<'a>,
    ) -> (Answer, &'a Endpoint) {
        let (started, endpoint, is_overdue) = (Instant::now(), first.endpoint, AtomicBool::new(false));
        tried.push(endpoint);
        let mut first = pin!(self.attempt(leg, first, Try { number: tried.n_attempts(), kind }, &is_overdue));
        if leg.version.endpoints.len() < 2 {
            return (first.await, endpoint);
        }
        if let Some(after) = hedge_after(leg).filter(|_| has_other(leg.version, tried)) {
            if let Ok(answer) = timeout_at(started + after, first.as_mut()).await {
                return (answer, endpoint);
            }
            if let Some(second) = self.may_hedge(leg, tried) {
                tried.is_hedged = true;
                let (answer, by) = Box::pin(self.both(leg, first, second, AttemptKind::Hedge, tried)).await;
                let has_won = by.is_some();
                leg.expert.allowance.metrics.hedged(if has_won {
                    HedgeOutcome::Won
                } else {
                    HedgeOutcome::Lost
                });
                return (answer, by.unwrap_or(endpoint));
            }
        }
        // Nobody else may be ready now, and somebody in a moment: in a rolling restart everyone is away once.
        loop {
            if let Ok(answer) = timeout_at(Instant::now() + patience(leg), first.as_mut()).await {
                return (answer, endpoint);
            }
            is_overdue.store(true, Ordering::Relaxed);
            endpoint.history.is_overdue();
            if has_other(leg.version, tried) || leg.limit.left() < LAST_LOOK {
                break;
            }
        }
        let Some(second) = self.may_rescue(leg, tried) else { return (first.await, endpoint) };
        debug!(address = &*endpoint.identity.address, "silent for too long: asking another one beside it");
        let (answer, by) = Box::pin(self.both(leg, first, second, AttemptKind::Retry, tried)).await;
        (answer, by.unwrap_or(endpoint))
    }

    /// The first good answer of two; says who gave it if that was the second.
    async fn both<'a>(
        &self,
        leg: &'a Leg<'a>,
        mut first: Pin<&mut impl Future<Output = Answer>>,
        second: Picked<'a>,
        kind: AttemptKind,
        tried: &mut Tried<'a>,
    ) -> (Answer, Option<&'a Endpoint>) {
        let (endpoint, is_overdue) = (second.endpoint, AtomicBool::new(false));
        tried.push(endpoint);
        let number = tried.n_attempts();
        let mut second = pin!(self.attempt(leg, second, Try { number, kind }, &is_overdue));
        tokio::select! {
            biased;
            answer = first.as_mut() => if is_final(&answer) { (answer, None) } else { (second.await, Some(endpoint)) },
            answer = second.as_mut() => if is_final(&answer) { (answer, Some(endpoint)) } else { (first.await, None) },
        }
    }
}

/// Nobody answers in less time from a standing start.
const LAST_LOOK: Duration = Duration::from_millis(5);

/// Is there nothing to gain from waiting for another one's answer?
fn is_final(answer: &Answer) -> bool {
    answer.as_ref().err().is_none_or(CallError::is_about_the_request)
}

fn asked(answer: Answer, endpoint: Option<&Endpoint>, tried: &Tried<'_>) -> Asked {
    Asked {
        answer,
        endpoint: endpoint.map(|endpoint| endpoint.identity.address.clone()),
        n_attempts: tried.n_attempts(),
        is_hedged: tried.is_hedged,
        has_failed: tried.has_failed,
    }
}

/// When the policy wants a second endpoint asked; not before enough is known of the version.
fn hedge_after(leg: &Leg<'_>) -> Option<Duration> {
    let hedge = leg.expert.policy.hedge.as_ref()?;
    leg.version.pool.latency.at(hedge.after)
}

/// A process that was stopped takes calls and keeps them, and its connection stays open: only the clock tells. Long enough
/// that a healthy endpoint is almost never doubted, short enough that another one can still answer.
fn patience(leg: &Leg<'_>) -> Duration {
    /// Timers, threads and garbage collectors of other people's servers take this long for no reason.
    const LEAST: Duration = Duration::from_millis(25);
    const OF_P99: u32 = 5;
    let half = leg.limit.left() / 2;
    leg.version.pool.latency.p99().map_or(half, |p99| (OF_P99 * p99).max(LEAST).min(half))
}
