//! What an expert has done since it was loaded, as the protocol's clients read it (`perf_analyzer` above all) and as the
//! metrics count it: both are fed here, at the same places, so that they cannot disagree.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nanogrid_proto::inference::{
    InferBatchStatistics, InferStatistics, MemoryUsage, ModelStatistics, StatisticDuration,
};
use nanogrid_telemetry::{
    metrics::{ModelMetrics, PendingRequest, StageTimes},
    propagation::sampled_trace_id,
};
use tokio::time::Instant;
use tracing::Span;

use crate::error::Error;

/// Counters of one version of one expert. Never decreasing, and read one by one: sums may be apart by a request.
#[derive(Debug)]
pub(crate) struct Statistics {
    metrics: ModelMetrics,
    /// Milliseconds since 1970; 0 = never.
    last_inference: AtomicU64,
    rows: AtomicU64,
    success: Timer,
    fail: Timer,
    queue: Timer,
    preprocess: Timer,
    inference: Timer,
    postprocess: Timer,
    executions: AtomicU64,
    /// Time in the model by number of rows in the run; the last one holds everything larger.
    batches: Box<[Timer]>,
}

/// A request on its way. Dropped without a verdict, it counts as failed: that is what a dropped future is.
#[must_use = "a request dropped without a verdict counts as failed"]
pub(crate) struct Begun<'a> {
    statistics: &'a Statistics,
    /// `None` once there is a verdict.
    pending: Option<PendingRequest>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Timer {
    count: AtomicU64,
    ns: AtomicU64,
}

impl Statistics {
    pub(crate) fn new(metrics: ModelMetrics, max_batch_rows: usize) -> Self {
        Self {
            metrics,
            last_inference: AtomicU64::default(),
            rows: AtomicU64::default(),
            success: Timer::default(),
            fail: Timer::default(),
            queue: Timer::default(),
            preprocess: Timer::default(),
            inference: Timer::default(),
            postprocess: Timer::default(),
            executions: AtomicU64::default(),
            batches: (0..=max_batch_rows).map(|_| Timer::default()).collect(),
        }
    }

    pub(crate) fn metrics(&self) -> &ModelMetrics {
        &self.metrics
    }

    /// The model was run once, for one request or several.
    pub(crate) fn executed(&self, rows: usize, inference: Duration) {
        self.metrics.executed(rows);
        self.executions.fetch_add(1, Relaxed);
        if let Some(timer) = self.batches.get(rows).or(self.batches.last()) {
            timer.add(inference);
        }
    }

    /// A request has arrived.
    pub(crate) fn begin(&self) -> Begun<'_> {
        Begun { statistics: self, pending: Some(self.metrics.started()), started: Instant::now() }
    }

    /// As the protocol has it.
    pub(crate) fn report(&self, name: &str, version: &str, memory: u64) -> ModelStatistics {
        ModelStatistics {
            name: name.to_owned(),
            version: version.to_owned(),
            last_inference: self.last_inference.load(Relaxed),
            inference_count: self.rows.load(Relaxed),
            execution_count: self.executions.load(Relaxed),
            inference_stats: Some(InferStatistics {
                success: self.success.report(),
                fail: self.fail.report(),
                queue: self.queue.report(),
                compute_input: self.preprocess.report(),
                compute_infer: self.inference.report(),
                compute_output: self.postprocess.report(),
                cache_hit: Some(StatisticDuration::default()),
                cache_miss: Some(StatisticDuration::default()),
            }),
            batch_stats: self.batch_stats(),
            memory_usage: vec![MemoryUsage { r#type: "CPU".to_owned(), id: 0, byte_size: memory }],
            response_stats: [].into(),
        }
    }

    fn batch_stats(&self) -> Vec<InferBatchStatistics> {
        let seen = self.batches.iter().enumerate().filter(|(_, timer)| timer.count.load(Relaxed) > 0);
        let report = |(rows, timer): (usize, &Timer)| InferBatchStatistics {
            batch_size: rows as u64,
            // Pre- and postprocessing are done request by request, never for a batch.
            compute_input: Some(StatisticDuration::default()),
            compute_infer: timer.report(),
            compute_output: Some(StatisticDuration::default()),
        };
        seen.map(report).collect()
    }
}

impl Begun<'_> {
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn succeeded(mut self, rows: usize, times: &StageTimes) {
        let Some(pending) = self.pending.take() else { return };
        pending.succeeded(rows, times, sampled_trace_id(&Span::current()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let statistics = self.statistics;
        statistics.last_inference.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Relaxed);
        statistics.rows.fetch_add(rows as u64, Relaxed);
        statistics.success.add(self.started.elapsed());
        statistics.queue.add(times.queue);
        statistics.preprocess.add(times.preprocess);
        statistics.inference.add(times.inference);
        statistics.postprocess.add(times.postprocess);
    }

    pub(crate) fn failed(mut self, error: &Error) {
        let Some(pending) = self.pending.take() else { return };
        pending.failed(error.reason());
        self.statistics.fail.add(self.started.elapsed());
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        // Still pending: the caller left. The metrics count that as cancelled by themselves.
        if self.pending.is_some() {
            self.statistics.fail.add(self.started.elapsed());
        }
    }
}

impl Timer {
    fn add(&self, elapsed: Duration) {
        self.count.fetch_add(1, Relaxed);
        self.ns.fetch_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn report(&self) -> Option<StatisticDuration> {
        Some(StatisticDuration { count: self.count.load(Relaxed), ns: self.ns.load(Relaxed) })
    }
}
