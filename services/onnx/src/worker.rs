//! The thread that owns a session: takes the jobs that are waiting, makes a batch of them, runs it, answers.
//!
//! A batch is formed from what is there and never waited for, so an idle expert answers at once and a busy one becomes
//! efficient by itself. It holds rows, not jobs: a job too big for one run is spread over several.
//!
//! No caller's deadline stops a run that others still wait for; when the last of them has left, it is stopped. No
//! caller's request fails that of another: a batch that fails is run again, job by job.

mod batch;
mod caller;
mod job;
#[cfg(test)]
mod tests;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

use tokio::{sync::mpsc, time::Instant};
use tracing::Span;

pub(crate) use self::{
    batch::Limits,
    caller::{Caller, Stop},
    job::{Answer, Job, Row, Rows, Work, finite},
};
use self::{
    batch::{Batch, Part},
    caller::Running,
};
use crate::{Generated, RunError, TensorValue, generation::Prompt, tally::Tally};

/// What runs a model. One thread owns it. No model gives every kind of answer.
pub(crate) trait Engine {
    /// Makes ready for one run, and returns what stops it.
    fn prepare(&mut self) -> Result<Arc<dyn Stop>, RunError>;

    /// Logits of each row, in order.
    fn logits(&mut self, _rows: &[&Row]) -> Result<Vec<Vec<f32>>, RunError> {
        Err(RunError::Invalid("this model answers with texts, and gives no logits".into()))
    }

    /// A text for each prompt, in order, or why there is none.
    fn generate(&mut self, _prompts: &[Prompt<'_>]) -> Result<Vec<Result<Generated, RunError>>, RunError> {
        Err(RunError::Invalid("this model generates no text".into()))
    }

    /// The graph's outputs.
    fn tensors(&mut self, _inputs: &[TensorValue]) -> Result<Vec<TensorValue>, RunError> {
        Err(RunError::Invalid("this model takes text, and no tensors".into()))
    }
}

/// The end of the queue that all workers of a model share.
pub(crate) type Queue = Arc<Mutex<mpsc::Receiver<Job>>>;

/// One worker thread's state.
pub(crate) struct Worker<E> {
    engine: E,
    queue: Queue,
    limits: Limits,
    tally: Arc<Tally>,
    /// The one job that the last batch had no room for, or not for all of. It is first in the next.
    held: Option<Job>,
}

impl<E: Engine> Worker<E> {
    pub(crate) fn new(engine: E, queue: Queue, limits: Limits, tally: Arc<Tally>) -> Self {
        Self { engine, queue, limits, tally, held: None }
    }

    /// Serves until every handle to the model is gone and the queue is empty.
    pub(crate) fn serve(mut self) {
        while let Some(first) = self.first() {
            // Whatever panics, the jobs at hand are dropped, which tells their callers, and the next batch is served.
            if panic::catch_unwind(AssertUnwindSafe(|| self.step(first))).is_err() {
                self.tally.panics.add(1);
                tracing::error!(
                    "a worker thread of the model panicked; the jobs it had failed, and it goes on"
                );
            }
        }
    }

    fn step(&mut self, first: Job) {
        let now = Instant::now();
        let Some(first) = self.wanted(first, now) else { return };
        let span = first.span.clone();
        let _entered = span.enter();
        let mut batch = Batch::new(self.limits, first);
        while batch.has_room() {
            let Some(job) = self.waiting() else { break };
            let Some(job) = self.wanted(job, now) else { continue };
            self.held = batch.add(job);
        }
        self.run(batch.into_parts());
    }

    fn first(&mut self) -> Option<Job> {
        self.held.take().or_else(|| self.queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv())
    }

    fn waiting(&self) -> Option<Job> {
        match self.queue.try_lock() {
            Ok(mut queue) => queue.try_recv().ok(),
            Err(TryLockError::Poisoned(queue)) => queue.into_inner().try_recv().ok(),
            // Another worker is in there. If it sleeps there is nothing to take; if not, it takes what there is.
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The job, unless nobody waits for it any more.
    fn wanted(&self, job: Job, now: Instant) -> Option<Job> {
        let late = job.deadline.is_some_and(|deadline| deadline <= now);
        if !late && !job.caller.has_left() {
            return Some(job);
        }
        self.tally.skipped.add(1);
        job.fail(RunError::DeadlineExceeded);
        None
    }

    fn run(&mut self, mut parts: Vec<Part>) {
        let stop = match self.engine.prepare() {
            Ok(stop) => stop,
            Err(error) => return parts.into_iter().for_each(|part| part.job.fail(error.clone())),
        };
        let running = Running::new(stop);
        parts.iter().for_each(|part| part.job.caller.join(&running));
        // The worker's own count, held until everyone had joined so that the first to leave was not taken for the last.
        running.one_left();

        let n_rows = parts.iter().map(|part| part.n_rows).sum();
        let spans: Vec<Span> = parts.iter_mut().map(|part| part.job.begins_run(n_rows)).collect();
        let began = Instant::now();
        let output = match parts.first().map(|part| &part.job.work) {
            Some(Work::Tensors(inputs)) => self.engine.tensors(inputs).map(Output::Tensors),
            Some(Work::Generate(..)) => {
                let prompts: Vec<Prompt<'_>> = parts.iter().flat_map(Part::prompts).collect();
                self.engine.generate(&prompts).map(Output::Generated)
            }
            Some(Work::Rows(_)) | None => {
                let rows: Vec<&Row> = parts.iter().flat_map(Part::rows).collect();
                self.engine.logits(&rows).map(Output::Logits)
            }
        };
        let took = began.elapsed();
        drop(spans);
        parts.iter().for_each(|part| part.job.caller.part());
        match output {
            Ok(output) => {
                self.tally.ran(n_rows, took);
                parts.iter_mut().for_each(|part| part.job.ran(began, took, n_rows));
                self.answer(parts, output);
            }
            Err(_) if running.is_deserted() => {
                self.tally.stopped.add(1);
                parts.into_iter().for_each(|part| part.job.fail(RunError::DeadlineExceeded));
            }
            Err(error) => {
                self.tally.failed.add(1);
                match parts.len() {
                    1 => parts.into_iter().for_each(|part| part.job.fail(error.clone())),
                    _ => parts.into_iter().for_each(|part| self.run_alone(part)),
                }
            }
        }
    }

    /// Once more, after the batch that it was in has failed. That took time, which it may not have had.
    fn run_alone(&mut self, Part { job, n_rows }: Part) {
        if let Some(job) = self.wanted(job, Instant::now()) {
            self.run(vec![Part { job, n_rows }]);
        }
    }

    fn answer(&mut self, parts: Vec<Part>, output: Output) {
        match output {
            // Never shared: such a batch has one part.
            Output::Tensors(tensors) => {
                if let Some(part) = parts.into_iter().next() {
                    part.job.succeed(Answer::Tensors(tensors));
                }
            }
            Output::Logits(rows) => {
                let mut rows = rows.into_iter().map(|logits| finite(&logits).map(|()| logits));
                for Part { mut job, n_rows } in parts {
                    let Work::Rows(asked) = &mut job.work else { continue };
                    let answers = asked.keep(rows.by_ref().take(n_rows));
                    self.go_on(job, answers.map(|answers| answers.map(Answer::Logits)));
                }
            }
            Output::Generated(rows) => {
                let mut rows = rows.into_iter();
                for Part { mut job, n_rows } in parts {
                    let Work::Generate(asked, _) = &mut job.work else { continue };
                    let answers = asked.keep(rows.by_ref().take(n_rows));
                    self.go_on(job, answers.map(|answers| answers.map(Answer::Generated)));
                }
            }
        }
    }

    fn go_on(&mut self, job: Job, answer: Result<Option<Answer>, RunError>) {
        match answer {
            Err(error) => job.fail(error),
            // Only the last of a batch can have rows left, and then no other is held.
            Ok(None) => self.held = Some(job),
            Ok(Some(answer)) => job.succeed(answer),
        }
    }
}

/// What a run gave, row by row.
enum Output {
    Logits(Vec<Vec<f32>>),
    Generated(Vec<Result<Generated, RunError>>),
    Tensors(Vec<TensorValue>),
}
