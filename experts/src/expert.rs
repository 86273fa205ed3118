//! One version of one expert, loaded and warm: its package, its task with the model in it, what it has done so far.

use std::{sync::Arc, time::Duration};

use nanogrid_onnx::{Model, ModelOptions, Package, RunError};
use nanogrid_resilience::{Criticality, ShedReason};
use nanogrid_settings::{InferenceSettings, LimitSettings, Task};
use nanogrid_telemetry::metrics::ExpertMetrics;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::{
    admission::Admission,
    error::Error,
    memory,
    statistics::Statistics,
    task::{LoadError, Loaded},
};

pub(crate) struct Expert {
    pub(crate) package: Package,
    /// As the wire writes it.
    pub(crate) version: String,
    pub(crate) task: Loaded,
    pub(crate) admission: Admission,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) limits: InferenceSettings,
    /// By how much the process grew while this was loaded, in bytes.
    pub(crate) memory: u64,
    headers: [(&'static str, MetadataValue<Ascii>); 2],
}

impl Expert {
    /// Loads the model and warms it up: milliseconds to seconds, on the calling thread.
    pub(crate) fn load(
        package: Package,
        limits: &InferenceSettings,
        limit: &LimitSettings,
        metrics: &ExpertMetrics,
    ) -> Result<Self, LoadError> {
        let (started, before) = (Instant::now(), memory::resident());
        let version = package.version.to_string();
        let metrics = metrics.model(package.name.as_str(), &version);
        let largest_batch = limits.max_batch_rows.max(limits.max_rows).get();
        let name = package.name.as_str();
        let admission = Admission::new(name, limit, limits, jobs_per_run(&package, limits), metrics.clone());
        let statistics = Arc::new(Statistics::new(metrics, largest_batch));
        let model = Model::load(&package, &options(&package, limits, limit))?;
        model.observe({
            let statistics = Arc::clone(&statistics);
            move |rows, inference| statistics.executed(rows, inference)
        });
        let task = Loaded::new(&package, model, limits)?;
        statistics.metrics().loaded(started.elapsed());
        statistics.metrics().ready(true);
        Ok(Self {
            headers: [
                ("x-nanogrid-expert", ascii(package.name.as_str())),
                ("x-nanogrid-version", ascii(&version)),
            ],
            memory: memory::resident().saturating_sub(before),
            package,
            version,
            task,
            admission,
            statistics,
            limits: limits.clone(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.package.name.as_str()
    }

    /// Says on an answer who gave it.
    pub(crate) fn sign(&self, metadata: &mut MetadataMap) {
        for (key, value) in &self.headers {
            metadata.insert(*key, value.clone());
        }
    }

    /// What a failed run means to the caller.
    pub(crate) fn refusal(&self, error: RunError, criticality: Criticality) -> Error {
        match error {
            // Admission lets in no more than the model's queue holds, so this is no way to be shed, only a safe one.
            RunError::Overloaded { .. } => Error::Overloaded {
                name: self.name().to_owned(),
                criticality,
                reason: ShedReason::Full,
                retry_after: Duration::from_millis(1),
            },
            RunError::DeadlineExceeded => Error::DeadlineExceeded,
            RunError::Closed => Error::Closed,
            RunError::Invalid(problem) => Error::Invalid(problem),
            RunError::Failed(problem) => Error::Failed(problem),
        }
    }
}

fn options(package: &Package, limits: &InferenceSettings, limit: &LimitSettings) -> ModelOptions {
    ModelOptions {
        workers: limits.workers,
        // Everyone whom admission lets in may be here at once.
        queue: limit.max,
        max_batch_rows: limits.max_batch_rows,
        max_batch_tokens: package.max_batch_tokens.unwrap_or(limits.max_batch_tokens),
        max_batch_pixels: package.max_batch_pixels.unwrap_or(limits.max_batch_pixels),
        intra_op_threads: limits.intra_op_threads,
    }
}

/// How many requests can share a run.
fn jobs_per_run(package: &Package, limits: &InferenceSettings) -> usize {
    // Tensors are never put side by side.
    if package.task == Task::Tensor { 1 } else { limits.max_batch_rows.get() }
}

/// Names and versions are plain words and numbers, checked where packages are read.
fn ascii(text: &str) -> MetadataValue<Ascii> {
    text.parse().unwrap_or_else(|_| MetadataValue::from_static("?"))
}
