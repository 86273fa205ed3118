//! The handle to a loaded model: one bounded queue, and behind it worker threads that own a session each.
//!
//! Inference blocks for as long as it takes, so it has threads of its own: on tokio's workers it would hold up every
//! other connection. The queue is bounded and never waited for, because a full queue means that the model is slower
//! than what arrives, and then the only useful answer is an early no.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use nanogrid_settings::{Task, package::NumBeams};
use ort::session::builder::PrepackedWeights;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, timeout_at},
};

use crate::{
    Counters, Error, Generated, Outlet, Package, Pixels, RunError, TensorValue, Tokens,
    generation::EncoderDecoder,
    session::OrtEngine,
    tally::Tally,
    worker::{Answer, Caller, Engine, Job, Limits, Row, Rows, Work, Worker},
};

/// How a model is run.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Worker threads, one session each.
    pub workers: NonZeroUsize,
    /// Jobs that may wait; one more is refused.
    pub queue: NonZeroUsize,
    /// Rows of one run.
    pub max_batch_rows: NonZeroUsize,
    /// Padded tokens of one run: rows times the longest row.
    pub max_batch_tokens: NonZeroUsize,
    /// Pixels of one run, as the model takes them, where it takes images.
    pub max_batch_pixels: NonZeroUsize,
    /// Threads inside one run. More than one costs CPU and gains little on small models.
    pub intra_op_threads: NonZeroUsize,
}

/// A model with its worker threads. Clones share them; when the last one is dropped, the threads finish what is queued
/// and end.
///
/// Rows of one request keep their order, and padding does not change a row's answer beyond float noise. A model with
/// dynamically quantised activations takes its scales from the whole batch, so the low-order bits of its logits depend
/// on who shares the run.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<Job>,
    tally: Arc<Tally>,
    inputs: Vec<Outlet>,
    outputs: Vec<Outlet>,
}

/// The answer to a job of texts, or of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// One row of logits for each row of the job, in the job's order. Of a token classifier, a row holds the logits of its
    /// tokens, one token after another, and then those of the whole text where the graph has some.
    pub logits: Vec<Vec<f32>>,
    /// What it cost.
    pub times: Times,
}

/// The answer to a job of texts that were to be answered with texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// One for each row of the job, in the job's order.
    pub texts: Vec<Generated>,
    /// What it cost.
    pub times: Times,
}

/// The answer to a job of tensors.
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
    /// In ONNX Runtime; a shared run counts whole for everyone in it.
    pub inference: Duration,
    /// Rows of the largest run that it took part in.
    pub batch_rows: usize,
}

impl Model {
    /// Opens a session for each worker, checks the graph against `package`, and runs it once. Blocks until all is ready.
    ///
    /// # Errors
    /// When ONNX Runtime is not loaded, or the graph cannot be, does not fit its manifest, or cannot be run.
    pub fn load(package: &Package, options: &ModelOptions) -> Result<Self, Error> {
        match package.task {
            Task::TextToText => Self::open(package, options, EncoderDecoder::open, EncoderDecoder::outlets),
            Task::TextClassification
            | Task::TokenClassification
            | Task::Embedding
            | Task::ImageClassification
            | Task::SpeechToText
            | Task::TextToSpeech
            | Task::Series
            | Task::Tensor => Self::open(package, options, OrtEngine::open, OrtEngine::outlets),
        }
    }

    fn open<E: Engine + Send + 'static>(
        package: &Package,
        options: &ModelOptions,
        open: impl Fn(&Package, NonZeroUsize, Option<&PrepackedWeights>) -> Result<E, Error>,
        outlets: impl Fn(&E) -> (Vec<Outlet>, Vec<Outlet>),
    ) -> Result<Self, Error> {
        let shared = (options.workers.get() > 1).then(PrepackedWeights::new);
        let engines = (0..options.workers.get())
            .map(|_| open(package, options.intra_op_threads, shared.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let (inputs, outputs) = engines.first().map(outlets).unwrap_or_default();
        let cost = match package.image_processor {
            Some(_) => options.max_batch_pixels,
            None => options.max_batch_tokens,
        };
        let limits = Limits { rows: options.max_batch_rows, cost };
        Self::start(&package.name, engines, inputs, outputs, options.queue, limits)
            .map_err(|error| Error::graph(package.model(), format!("cannot start a worker thread: {error}")))
    }

    pub(crate) fn start<E: Engine + Send + 'static>(
        name: impl fmt::Display,
        engines: Vec<E>,
        inputs: Vec<Outlet>,
        outputs: Vec<Outlet>,
        capacity: NonZeroUsize,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(capacity.get());
        let jobs = Arc::new(Mutex::new(jobs));
        let tally = Arc::new(Tally::default());
        for engine in engines {
            let worker = Worker::new(engine, Arc::clone(&jobs), limits, Arc::clone(&tally));
            thread::Builder::new().name(format!("onnx-{name}")).spawn(move || worker.serve())?;
        }
        Ok(Self(Arc::new(Inner { queue, tally, inputs, outputs })))
    }

    /// Logits for each of `rows`. Dropping the future takes the job out of the queue, and stops the run if nobody else
    /// shares it. A deadline needs a tokio runtime with time.
    ///
    /// # Errors
    /// At once when the queue is full; at the deadline; or when the model fails.
    pub async fn run_text(&self, rows: Vec<Tokens>, deadline: Option<Instant>) -> Result<Run, RunError> {
        self.run_rows(rows.into_iter().map(Row::Text).collect(), deadline).await
    }

    /// The same for images.
    ///
    /// # Errors
    /// Those of [`run_text`](Self::run_text).
    pub async fn run_images(&self, rows: Vec<Pixels>, deadline: Option<Instant>) -> Result<Run, RunError> {
        self.run_rows(rows.into_iter().map(Row::Image).collect(), deadline).await
    }

    async fn run_rows(&self, rows: Vec<Row>, deadline: Option<Instant>) -> Result<Run, RunError> {
        if rows.is_empty() {
            return Ok(Run { logits: Vec::new(), times: Times::default() });
        }
        match self.run(Work::Rows(Rows::new(rows)), deadline).await? {
            (Answer::Logits(logits), times) => Ok(Run { logits, times }),
            (Answer::Generated(_) | Answer::Tensors(_), _) => Err(mixed_up()),
        }
    }

    /// A text for each of `rows`, found by following `num_beams` hypotheses. Dropping the future takes the job out of the queue,
    /// or its rows out of the next step, and stops the run if nobody else shares it.
    ///
    /// # Errors
    /// Those of [`run_text`](Self::run_text), and [`RunError::Invalid`] when the model generates no text.
    pub async fn generate(
        &self,
        rows: Vec<Tokens>,
        num_beams: NumBeams,
        deadline: Option<Instant>,
    ) -> Result<Generation, RunError> {
        if rows.is_empty() {
            return Ok(Generation { texts: Vec::new(), times: Times::default() });
        }
        let rows = Rows::new(rows.into_iter().map(Row::Text).collect());
        match self.run(Work::Generate(rows, num_beams), deadline).await? {
            (Answer::Generated(texts), times) => Ok(Generation { texts, times }),
            (Answer::Logits(_) | Answer::Tensors(_), _) => Err(mixed_up()),
        }
    }

    /// Runs the graph's own tensors. Dropping the future has the same effect as for [`run_text`](Self::run_text).
    ///
    /// # Errors
    /// Those of [`run_text`](Self::run_text), and [`RunError::Invalid`] for inputs that the graph does not take.
    pub async fn run_tensors(
        &self,
        inputs: Vec<TensorValue>,
        deadline: Option<Instant>,
    ) -> Result<TensorRun, RunError> {
        match self.run(Work::Tensors(inputs), deadline).await? {
            (Answer::Tensors(outputs), times) => Ok(TensorRun { outputs, times }),
            (Answer::Logits(_) | Answer::Generated(_), _) => Err(mixed_up()),
        }
    }

    async fn run(&self, work: Work, deadline: Option<Instant>) -> Result<(Answer, Times), RunError> {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(RunError::DeadlineExceeded);
        }
        let caller = Arc::new(Caller::default());
        let _present = Present(&caller);
        let (job, answer) = Job::new(work, deadline, Arc::clone(&caller));
        self.0.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => RunError::Overloaded { capacity: self.0.queue.max_capacity() },
            TrySendError::Closed(_) => RunError::Closed,
        })?;
        let answer = match deadline {
            Some(deadline) => timeout_at(deadline, answer).await.map_err(|_| RunError::DeadlineExceeded)?,
            None => answer.await,
        };
        answer.unwrap_or_else(|_| {
            Err(RunError::Failed("a worker thread panicked while it had this job".into()))
        })
    }

    /// The graph's inputs, as it declares them.
    pub fn inputs(&self) -> &[Outlet] {
        &self.0.inputs
    }

    /// The graph's outputs, as it declares them.
    pub fn outputs(&self) -> &[Outlet] {
        &self.0.outputs
    }

    /// Has `observer` told of every run of the graph from now on: how many rows it had, and how long it took. It is
    /// called by the worker, between two runs. Only the first observer is kept.
    pub fn observe(&self, observer: impl Fn(usize, Duration) + Send + Sync + 'static) {
        self.0.tally.observe(observer);
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        self.0.tally.counters(self.0.queue.max_capacity() - self.0.queue.capacity())
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

/// No worker does this.
fn mixed_up() -> RunError {
    RunError::Failed("the model answered another question".into())
}

/// A caller who waits. However it ends, the worker learns of it.
struct Present<'a>(&'a Caller);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
