//! The handle to a loaded model.
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::time::Instant;
use crate::{Error, Outlet, Package, RunError, TensorValue, Tokens};

/// How a model is run.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Worker threads, one session each.
    pub workers: NonZeroUsize,
    /// Jobs that may wait; one more is refused.
    pub queue: NonZeroUsize,
    /// Rows of one run.
    pub max_batch_rows: usize,
    /// Padded tokens of one run: rows times the longest row.
    pub max_batch_tokens: usize,
    /// Threads inside one run.
    pub intra_op_threads: usize,
}

/// A model with its worker threads. Clones share them; when the last one is dropped the threads end.
#[derive(Debug, Clone)]
pub struct Model(Arc<()>);

/// The answer to one job of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// One row of logits for each row of the job, in the job's order.
    pub logits: Vec<Vec<f32>>,
    /// What it cost.
    pub times: Times,
}

/// The answer to one job of tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorRun {
    /// The graph's outputs, in its order.
    pub outputs: Vec<TensorValue>,
    /// What it cost.
    pub times: Times,
}

/// Where the time of a job went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// From acceptance until its first run began.
    pub queue: Duration,
    /// In ONNX Runtime; the time of a shared run counts whole for everyone in it.
    pub inference: Duration,
    /// Rows of the largest run it took part in.
    pub batch_rows: usize,
}

/// What a model has done since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Runs of the graph.
    pub executions: u64,
    /// Rows in them.
    pub rows: u64,
    /// Jobs thrown away unrun because their caller had left or their deadline had passed.
    pub skipped: u64,
    /// Runs stopped because nobody was waiting for them any more.
    pub stopped: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Panics caught in a worker thread.
    pub panics: u64,
    /// Jobs waiting now.
    pub waiting: usize,
}

impl Model {
    /// Loads.
    pub fn load(_package: &Package, _options: &ModelOptions) -> Result<Self, Error> { unimplemented!() }
    /// Runs texts.
    pub async fn run_text(&self, _rows: Vec<Tokens>, _deadline: Option<Instant>) -> Result<Run, RunError> { unimplemented!() }
    /// Runs tensors.
    pub async fn run_tensors(&self, _inputs: Vec<TensorValue>, _deadline: Option<Instant>) -> Result<TensorRun, RunError> { unimplemented!() }
    /// The graph's inputs.
    pub fn inputs(&self) -> &[Outlet] { unimplemented!() }
    /// The graph's outputs.
    pub fn outputs(&self) -> &[Outlet] { unimplemented!() }
    /// Counters.
    pub fn counters(&self) -> Counters { unimplemented!() }
}
