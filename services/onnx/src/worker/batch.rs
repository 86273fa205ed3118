//! Which rows run together. What a model pays for is the padded rectangle, rows times the longest row (in tokens; pixels of
//! an image), so that is what is limited; a limit on rows alone would let one long text multiply the cost of all others.

use std::num::NonZeroUsize;

use super::{Job, Row, Work};

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
        let n_rows = match &job.work {
            Work::Rows(rows) => {
                let before = self.n_rows;
                for row in rows.left() {
                    let width = self.width.max(row.cost()).max(1);
                    let n_rows = self.n_rows + 1;
                    let fits = n_rows <= self.limits.rows.get() && n_rows * width <= self.limits.cost.get();
                    if !fits && self.n_rows > 0 {
                        self.full = true;
                        break;
                    }
                    (self.n_rows, self.width) = (n_rows, width);
                }
                self.n_rows - before
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
        let rows = match &self.job.work {
            Work::Rows(rows) => Some(rows.left().take(self.n_rows)),
            Work::Tensors(_) => None,
        };
        rows.into_iter().flatten()
    }
}
