//! One request on its way through the worker: what is to be run, how far it has come, and where the answer goes.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use tracing::{Span, info_span};

use nanogrid_settings::package::NumBeams;

use super::Caller;
use crate::{Generated, Pixels, RunError, TensorValue, Times, Tokens};

/// A job in the queue.
pub(crate) struct Job {
    pub(super) work: Work,
    pub(super) deadline: Option<Instant>,
    pub(super) caller: Arc<Caller>,
    pub(super) span: Span,
    /// Open until the first run begins.
    queue: Option<Span>,
    accepted: Instant,
    times: Option<Times>,
    reply: oneshot::Sender<Reply>,
}

/// What a caller gets.
pub(crate) type Reply = Result<(Answer, Times), RunError>;

/// What is to be run.
pub(crate) enum Work {
    Rows(Rows<Vec<f32>>),
    Generate(Rows<Generated>, NumBeams),
    Tensors(Vec<TensorValue>),
}

/// What came out.
#[derive(Clone)]
pub(crate) enum Answer {
    Logits(Vec<Vec<f32>>),
    Generated(Vec<Generated>),
    Tensors(Vec<TensorValue>),
}

/// What one row of an answer is made of. A model takes one kind.
#[derive(Debug)]
pub(crate) enum Row {
    Text(Tokens),
    Image(Pixels),
}

impl Row {
    /// What the model pays for it, before padding: tokens or pixels.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Text(tokens) => tokens.ids.len(),
            Self::Image(pixels) => pixels.count(),
        }
    }
}

/// The rows of a job, and the answers to those that were run.
pub(crate) struct Rows<T> {
    rows: Vec<Row>,
    /// Shortest first, so that rows which share a run need little padding.
    order: Vec<usize>,
    answers: Vec<T>,
    n_done: usize,
}

impl<T: Clone + Default> Rows<T> {
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&row| rows[row].cost());
        Self { answers: vec![T::default(); rows.len()], rows, order, n_done: 0 }
    }

    /// The rows that were not run yet, in the order in which they will be.
    pub(super) fn left(&self) -> impl Iterator<Item = &Row> {
        self.order[self.n_done..].iter().map(|&row| &self.rows[row])
    }

    /// Keeps the answers to the next rows. After the last row it returns those to all, in the caller's order.
    ///
    /// # Errors
    /// When there is none to one of them.
    pub(super) fn keep(
        &mut self,
        answers: impl Iterator<Item = Result<T, RunError>>,
    ) -> Result<Option<Vec<T>>, RunError> {
        let mut checked = Ok(());
        // To its end in any case: what follows in the iterator belongs to others.
        for answer in answers {
            match answer {
                Ok(answer) => self.answers[self.order[self.n_done]] = answer,
                Err(error) => checked = checked.and(Err(error)),
            }
            self.n_done += 1;
        }
        checked?;
        let done = self.n_done == self.rows.len();
        Ok(done.then(|| std::mem::take(&mut self.answers)))
    }
}

impl Work {
    /// The rows that are still to be run, in the order in which they will be; none of tensors.
    pub(super) fn left(&self) -> impl Iterator<Item = &Row> {
        let (rows, prompts) = match self {
            Self::Rows(rows) => (Some(rows.left()), None),
            Self::Generate(rows, _) => (None, Some(rows.left())),
            Self::Tensors(_) => (None, None),
        };
        rows.into_iter().flatten().chain(prompts.into_iter().flatten())
    }

    /// How many rows of the model each of them becomes.
    pub(super) fn fan_out(&self) -> usize {
        match self {
            Self::Generate(_, num_beams) => num_beams.get(),
            Self::Rows(_) | Self::Tensors(_) => 1,
        }
    }
}

/// No answer is better than one that is not a number.
pub(crate) fn finite(logits: &[f32]) -> Result<(), RunError> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(()),
        false => Err(RunError::Failed("the model gave a logit that is not a finite number".into())),
    }
}

impl Job {
    /// A job, and where its answer will arrive.
    pub(crate) fn new(
        work: Work,
        deadline: Option<Instant>,
        caller: Arc<Caller>,
    ) -> (Self, oneshot::Receiver<Reply>) {
        let (reply, answer) = oneshot::channel();
        let (accepted, span) = (Instant::now(), Span::current());
        let queue = Some(info_span!("queue"));
        (Self { work, deadline, caller, span, queue, accepted, times: None, reply }, answer)
    }

    /// The span of one run in the caller's trace, to be dropped at its end.
    pub(super) fn begins_run(&mut self, batch_rows: usize) -> Span {
        self.queue = None;
        info_span!(parent: &self.span, "ort.run", batch_rows)
    }

    /// Notes one run that this job took part in.
    pub(super) fn ran(&mut self, began: Instant, took: Duration, n_rows: usize) {
        let queue = began.duration_since(self.accepted);
        let times = self.times.get_or_insert(Times { queue, ..Times::default() });
        times.inference += took;
        times.batch_rows = times.batch_rows.max(n_rows);
    }

    pub(super) fn succeed(self, answer: Answer) {
        // Nobody there to read it is fine, here and below.
        let _ = self.reply.send(Ok((answer, self.times.unwrap_or_default())));
    }

    pub(super) fn fail(self, error: RunError) {
        let _ = self.reply.send(Err(error));
    }
}
