//! The gate in front of an expert: before anything is tokenised, because a request that will be turned away should cost next
//! to nothing. Behind it the model's own queue never holds more than the limit.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use nanogrid_resilience::{self as resilience, Criticality, Gate, GateSettings, Permit, Refused, ShedReason};
use nanogrid_settings::{InferenceSettings, LimitSettings};
use nanogrid_telemetry::metrics::{self, ExpertShed, ModelMetrics, SlackAt};
use tokio::time::Instant;

use crate::{call::Call, error::Error};

pub(crate) struct Admission {
    name: String,
    gate: Arc<Gate>,
    metrics: ModelMetrics,
    /// Whether requests are being turned away, as the log was told.
    shedding: AtomicBool,
    last_shed: Mutex<Option<Instant>>,
}

/// A request that was let in. Dropped without a success, its place is free again.
pub(crate) struct Admitted<'a> {
    admission: &'a Admission,
    permit: Option<Permit>,
    deadline: Option<Instant>,
}

/// Long enough without a shed request to say that it is over: bursts that follow one another are one story in the log.
const CALM: Duration = Duration::from_secs(1);

impl Admission {
    /// `batch_rows`: how many requests may share a run of the model.
    pub(crate) fn new(
        name: &str,
        limit: &LimitSettings,
        inference: &InferenceSettings,
        batch_rows: usize,
        metrics: ModelMetrics,
    ) -> Self {
        // One run at work and one that waits, for each worker: with less, they go idle between two.
        let runs = inference.workers.get().saturating_mul(2);
        let initial = limit.initial.map_or(runs.saturating_mul(batch_rows), |initial| initial.get());
        let (least, most) = (limit.min.get(), limit.max.get());
        let gate = Gate::new(GateSettings {
            limit: resilience::LimitSettings { initial, least, most },
            queue: inference.queue.get(),
            target: limit.target,
        });
        let admission = Self {
            name: name.to_owned(),
            gate,
            metrics,
            shedding: AtomicBool::default(),
            last_shed: Mutex::default(),
        };
        admission.report();
        admission
    }

    /// Waits for its turn, if it is worth the wait.
    pub(crate) async fn enter(&self, call: Call) -> Result<Admitted<'_>, Error> {
        let entered = self.gate.enter(call.criticality, call.deadline).await;
        self.report();
        let permit = entered.map_err(|refused| self.refused(refused, call.criticality))?;
        self.slack(SlackAt::Turn, call.deadline);
        Ok(Admitted { admission: self, permit: Some(permit), deadline: call.deadline })
    }

    fn refused(&self, refused: Refused, criticality: Criticality) -> Error {
        let (reason, retry_after) = match refused {
            Refused::Shed { reason, retry_after } => (reason, retry_after),
            Refused::DeadlineExceeded => return Error::DeadlineExceeded,
        };
        self.metrics.shed(label(criticality), reason_label(reason));
        *self.last_shed() = Some(Instant::now());
        if !self.shedding.swap(true, Relaxed) {
            let now = self.gate.now();
            tracing::warn!(
                expert = self.name, %criticality, limit = now.limit, waiting = now.waiting,
                "overloaded: turns requests away, the least critical first"
            );
        }
        Error::Overloaded { name: self.name.clone(), criticality, reason, retry_after }
    }

    fn report(&self) {
        let now = self.gate.now();
        self.metrics.admission(now.limit, now.in_flight, now.waiting);
    }

    /// Says once that the overload is over.
    fn calm(&self) {
        if !self.shedding.load(Relaxed) || self.last_shed().is_some_and(|last| last.elapsed() < CALM) {
            return;
        }
        if self.shedding.swap(false, Relaxed) {
            tracing::info!(expert = self.name, limit = self.gate.now().limit, "no longer overloaded");
        }
    }

    fn last_shed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_shed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slack(&self, at: SlackAt, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.metrics.slack(at, deadline);
        }
    }
}

impl Admitted<'_> {
    /// How long it waited for its turn.
    pub(crate) fn waited(&self) -> Duration {
        self.permit.as_ref().map(Permit::waited).unwrap_or_default()
    }

    /// When its turn came.
    pub(crate) fn turn(&self) -> Instant {
        self.permit.as_ref().map_or_else(Instant::now, Permit::granted)
    }

    /// Answered, after work of so long.
    pub(crate) fn succeeded(mut self, own: Duration) {
        if let Some(permit) = self.permit.take() {
            permit.succeeded(own);
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.admission.slack(SlackAt::End, self.deadline);
        drop(self.permit.take());
        self.admission.report();
        self.admission.calm();
    }
}

fn label(criticality: Criticality) -> metrics::Criticality {
    match criticality {
        Criticality::Sheddable => metrics::Criticality::Sheddable,
        Criticality::SheddablePlus => metrics::Criticality::SheddablePlus,
        Criticality::Critical => metrics::Criticality::Critical,
        Criticality::CriticalPlus => metrics::Criticality::CriticalPlus,
    }
}

fn reason_label(reason: ShedReason) -> ExpertShed {
    match reason {
        ShedReason::Full => ExpertShed::Full,
        ShedReason::Waited => ExpertShed::Waited,
    }
}
