//! What copies have shown of one expert's versions since somebody last looked.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use nanogrid_rollout::Seen;
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::{ShadowMetrics, ShadowResult};
use rand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info, warn};

use super::{
    Copies, Watch,
    answer::Row,
    compare::{Comparison, compare},
    copy::{Ended, Twin},
    ring::{Disagreement, Ring},
};

/// Copies of one expert's calls on their way at the same time. Enough for a thousand a second where answers take 15 ms, and
/// when the candidate hangs, all that it costs.
const PLACES: usize = 16;

/// A message takes one place for each of these, so that copies hold 16 MiB or one message, whichever is more.
const BYTES_PER_PLACE: usize = 1 << 20;

/// The answer of the version that is live, when it gave one; `Err` says why that is none.
type Rows = Option<Result<Vec<Row>, String>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Subject {
    name: ExpertName,
    ledger: Mutex<Ledger>,
    ring: Mutex<Ring>,
    places: Arc<Semaphore>,
    is_full: AtomicBool,
    /// Calls seen that nothing else tells apart.
    n_unnamed: AtomicU64,
    pub(super) metrics: ShadowMetrics,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Stable and canary. What is known of others is no evidence.
    versions: Option<(u32, u32)>,
    copies: Copies,
    slow_above: Option<Duration>,
}

impl Subject {
    pub(super) fn new(name: ExpertName, metrics: ShadowMetrics) -> Self {
        Self {
            name,
            ledger: Mutex::default(),
            ring: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            is_full: AtomicBool::new(false),
            n_unnamed: AtomicU64::new(0),
            metrics,
        }
    }

    /// From now on these versions are compared.
    pub(super) fn watch(&self, watch: Option<Watch>) {
        let mut ledger = lock(&self.ledger);
        let versions = watch.map(|watch| (watch.stable, watch.canary));
        if ledger.versions != versions {
            ledger.versions = versions;
            ledger.copies = Copies::default();
        }
    }

    pub(super) fn slow_above(&self, limit: Option<Duration>) {
        lock(&self.ledger).slow_above = limit;
    }

    pub(super) fn take(&self) -> Copies {
        std::mem::take(&mut lock(&self.ledger).copies)
    }

    pub(super) fn disagreements(&self, limit: usize) -> Vec<Disagreement> {
        lock(&self.ring).newest(limit)
    }

    /// The next number of a call that nothing else tells apart.
    pub(super) fn number(&self) -> u64 {
        self.n_unnamed.fetch_add(1, Ordering::Relaxed)
    }

    /// Room for a message of `n_bytes` on its way; `None` = there is none, and it is counted.
    pub(super) fn room(&self, n_bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = (1 + n_bytes / BYTES_PER_PLACE).min(PLACES);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let places = self.places.clone().try_acquire_many_owned(wanted).ok();
        if places.is_none() {
            self.dropped();
            if !self.is_full.swap(true, Ordering::Relaxed) {
                warn!(expert = %self.name, "copies take longer than calls come in: some are dropped");
            }
        }
        places
    }

    /// One copy less is on its way. Told when the last is: at the limit itself it would be told with every copy.
    pub(super) fn has_room(&self) {
        if self.places.available_permits() == PLACES && self.is_full.swap(false, Ordering::Relaxed) {
            info!(expert = %self.name, "copies are made of all calls again");
        }
    }

    /// A copy that was not made, or says nothing.
    pub(super) fn dropped(&self) {
        self.metrics.ended(ShadowResult::Dropped);
    }

    /// A copy sent to the canary has ended.
    pub(super) fn compared(
        &self,
        watch: Watch,
        twin: &Twin,
        live: Rows,
        ended: Ended,
        payload: Option<Box<str>>,
    ) {
        // What failed on both sides convicts nobody, and so does an answer that was none on both.
        let is_live_invalid = live.as_ref().is_some_and(Result::is_err);
        let stable_failed = twin.has_failed || is_live_invalid;
        let (took, rows) = match ended {
            Ended::Nothing => return self.dropped(),
            Ended::Failed => {
                self.metrics.ended(ShadowResult::Failed);
                return self.count(watch, |ledger| ledger.errors(stable_failed, true));
            }
            Ended::Answered { took, rows } => (took, rows),
        };
        let both = rows.and_then(|rows| match live {
            Some(Ok(live)) => drawn(live, rows).map(Some),
            Some(Err(_)) | None => Ok(None),
        });
        let both = match both {
            Ok(both) => both,
            Err(reason) => {
                debug!(expert = %self.name, reason, "no answer at all to a copy");
                self.metrics.ended(ShadowResult::Invalid);
                return self.count(watch, |ledger| {
                    ledger.errors(stable_failed, true);
                    ledger.copies.invalid += u64::from(!is_live_invalid);
                });
            }
        };
        self.count(watch, |ledger| {
            ledger.errors(stable_failed, false);
            if !stable_failed {
                ledger.times(twin, took);
            }
            if let Some((_, _, comparison)) = &both {
                ledger.copies.seen.compared.count(comparison.differs);
            }
        });
        if !twin.has_failed && !twin.is_hedged && !twin.took.is_zero() {
            self.metrics.took(took.as_secs_f64() / twin.took.as_secs_f64());
        }
        let Some((stable, canary, Comparison { distance, differs })) = both else { return };
        self.metrics.ended(if differs { ShadowResult::Differed } else { ShadowResult::Agreed });
        if differs {
            let may_quote = payload.is_some();
            lock(&self.ring).push(Disagreement {
                at: SystemTime::now(),
                stable: watch.stable,
                canary: watch.canary,
                stable_answer: stable.to_text(may_quote),
                canary_answer: canary.to_text(may_quote),
                distance,
                trace_id: twin.trace_id,
                payload,
            });
        }
    }

    /// A copy sent to another endpoint of the stable version has ended. Only what it answers is of interest.
    pub(super) fn looked_at_floor(&self, watch: Watch, live: Rows, ended: Ended) {
        let (Some(Ok(live)), Ended::Answered { rows: Ok(rows), .. }) = (live, ended) else {
            return self.dropped();
        };
        let differs = drawn(live, rows).map_or(true, |(_, _, comparison)| comparison.differs);
        self.metrics.ended(if differs { ShadowResult::FloorDiffered } else { ShadowResult::FloorAgreed });
        self.count(watch, |ledger| ledger.copies.seen.floor.count(differs));
    }

    fn count(&self, watch: Watch, count: impl FnOnce(&mut Ledger)) {
        let mut ledger = lock(&self.ledger);
        if ledger.versions == Some((watch.stable, watch.canary)) {
            count(&mut ledger);
        }
    }
}

impl Ledger {
    fn errors(&mut self, stable_failed: bool, canary_failed: bool) {
        let Seen { errors, .. } = &mut self.copies.seen;
        errors.stable.count(stable_failed);
        errors.canary.count(canary_failed);
    }

    fn times(&mut self, twin: &Twin, took: Duration) {
        let Some(limit) = self.slow_above else { return };
        let Seen { slow, .. } = &mut self.copies.seen;
        // Without the second endpoint it would have taken longer; nobody knows how long.
        slow.stable.count(twin.is_hedged || twin.took > limit);
        slow.canary.count(took > limit);
    }
}

/// One row of both answers, compared. One and not all: a message with a hundred rows is one request, and would otherwise
/// differ somewhere almost always. `Err` when the second is no answer to what the first one answers.
fn drawn(mut live: Vec<Row>, mut copy: Vec<Row>) -> Result<(Row, Row, Comparison), String> {
    let (n_live, n_copy) = (live.len(), copy.len());
    if n_live != n_copy || n_live == 0 {
        return Err(format!("{n_copy} rows instead of {n_live}"));
    }
    let i = rand::rng().random_range(0..n_live);
    let (live, copy) = (live.swap_remove(i), copy.swap_remove(i));
    let comparison = compare(&live, &copy).ok_or("outputs of another task")?;
    Ok((live, copy, comparison))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
