//! Which rows run together. What a model pays for is the padded rectangle, rows times the longest row (in tokens; pixels of
//! an image), so that is what is limited; a limit on rows alone would let one long text multiply the cost of all others.

use std::{mem::discriminant, num::NonZeroUsize};

use super::{Job, Row, Work};
use crate::generation::Prompt;

/// What one run may hold. A single row always may, however long it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rows: NonZeroUsize,
    /// Padded tokens, or pixels.
    pub(crate) cost: NonZeroUsize,
}

/// The jobs of one run; of each, the rows that it contributes.
pub(super) struct Batch {
    limits: Limits,
    parts: Vec<Part>,
    /// Of the model: what is answered by beam search becomes one for each beam.
    n_rows: usize,
    width: usize,
    full: bool,
}

/// The next `n_rows` rows of a job.
pub(super) struct Part {
    pub(super) job: Job,
    pub(super) n_rows: usize,
}

impl Batch {
    pub(super) fn new(limits: Limits, first: Job) -> Self {
        let mut batch = Self { limits, parts: Vec::new(), n_rows: 0, width: 0, full: false };
        let refused = batch.add(first);
        debug_assert!(refused.is_none(), "an empty batch takes a row of any job");
        batch
    }

    /// Takes as many rows of `job` as fit, and gives it back if that is none.
    pub(super) fn add(&mut self, job: Job) -> Option<Job> {
        // A run gives one kind of answer.
        let is_other = |part: &Part| discriminant(&part.job.work) != discriminant(&job.work);
        if self.parts.first().is_some_and(is_other) {
            self.full = true;
            return Some(job);
        }
        let n_rows = match &job.work {
            Work::Rows(_) | Work::Generate(..) => {
                let mut n_taken = 0;
                for row in job.work.left() {
                    let width = self.width.max(row.cost()).max(1);
                    let n_rows = self.n_rows + job.work.fan_out();
                    let fits = n_rows <= self.limits.rows.get() && n_rows * width <= self.limits.cost.get();
                    if !fits && self.n_rows > 0 {
                        self.full = true;
                        break;
                    }
                    (self.n_rows, self.width) = (n_rows, width);
                    n_taken += 1;
                }
                n_taken
            }
            // Tensors of two callers cannot be put side by side: only the caller knows which axis is the batch.
            Work::Tensors(_) => {
                self.full = true;
                usize::from(self.parts.is_empty())
            }
        };
        if n_rows == 0 {
            return Some(job);
        }
        self.parts.push(Part { job, n_rows });
        None
    }

    pub(super) fn has_room(&self) -> bool {
        !self.full && self.n_rows < self.limits.rows.get()
    }

    pub(super) fn into_parts(self) -> Vec<Part> {
        self.parts
    }
}

impl Part {
    /// Its rows; none for tensors.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.job.work.left().take(self.n_rows)
    }

    /// Its rows, where they are to be answered with texts.
    pub(super) fn prompts(&self) -> impl Iterator<Item = Prompt<'_>> {
        let num_beams = match &self.job.work {
            Work::Generate(_, num_beams) => Some(*num_beams),
            Work::Rows(_) | Work::Tensors(_) => None,
        };
        num_beams.into_iter().flat_map(move |num_beams| {
            self.rows().filter_map(move |row| match row {
                Row::Text(tokens) => Some(Prompt { ids: &tokens.ids, num_beams, caller: &self.job.caller }),
                Row::Image(_) => None,
            })
        })
    }
}
