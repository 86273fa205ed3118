//! The measures, from the counts.

use std::cmp::Reverse;

use crate::{
    Estimate, Tally,
    interval::{bootstrapped, wilson},
    tally::{Cells, Kind, RESAMPLES},
};

/// How good the answers were.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Share of the rows that were answered exactly as they should be; `None` without rows.
    pub accuracy: Option<Estimate>,
    /// Mean F1 of the labels that the data have; `None` without them.
    pub macro_f1: Option<Estimate>,
    /// F1 of all decisions together; `None` where each row has one label, because there it is the accuracy.
    pub micro_f1: Option<Estimate>,
    /// Rows that no label fits, and the others; `None` where the data have none of the first.
    pub scope: Option<ScopeSummary>,
    /// Of one label per row: the share that was answered at all, and how many of these are right. `None` when all were.
    pub answered: Option<(Estimate, Option<Estimate>)>,
    /// What was wrong with the spans; `None` where there are none.
    pub span_errors: Option<SpanErrors>,
    /// chrF of the texts, 0 to 100; `None` where there are none.
    pub chrf: Option<f64>,
    /// Every label seen, in the data or in an answer, sorted by name.
    pub classes: Vec<Class>,
    /// Which labels were taken for which, most frequent first; what was right is not among them.
    pub confused: Vec<Confused>,
}

/// Rows that some label fits, and rows that none does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScopeSummary {
    /// Of the rows that a label fits, the share with the right one.
    pub in_scope: Option<Estimate>,
    /// Of the rows that none fits, the share of which that was said.
    pub outside: Estimate,
}

/// One label or entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name.
    pub label: String,
    /// How often it is right in the data.
    pub n: u64,
    /// How often it was answered.
    pub n_answered: u64,
    /// How often both.
    pub n_right: u64,
    /// Of the answers, the share that is right; `None` where it was never answered.
    pub precision: Option<f64>,
    /// Of those that are right, the share that was answered; `None` where the data have none.
    pub recall: Option<f64>,
    /// The harmonic mean of both; 0 when nothing was right.
    pub f1: f64,
}

/// How often one label was taken for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confused {
    /// What it is.
    pub truth: String,
    /// What was answered; `None` when the expert was not sure enough of anything.
    pub answer: Option<String>,
    /// How often.
    pub n: u64,
}

/// What was wrong with spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanErrors {
    /// The right place, another entity.
    pub entity: u64,
    /// It overlaps, with other bounds.
    pub bounds: u64,
    /// Nothing was found there.
    pub missed: u64,
    /// There is nothing there.
    pub invented: u64,
}

impl Tally {
    /// What has been counted so far.
    pub fn summary(&self) -> Summary {
        let (rows, outside) = (self.rows, self.outside);
        let scope = wilson(outside.right, outside.n).filter(|_| self.none.is_some()).map(|share| {
            ScopeSummary { in_scope: wilson(rows.right - outside.right, rows.n - outside.n), outside: share }
        });
        let n_answered = rows.n - rows.abstained;
        let answered = wilson(n_answered, rows.n).filter(|_| rows.abstained > 0);
        Summary {
            accuracy: wilson(rows.right, rows.n),
            macro_f1: self.macro_f1(),
            micro_f1: self.micro_f1().filter(|_| self.kind != Some(Kind::Label)),
            scope,
            answered: answered.map(|share| (share, wilson(rows.right, n_answered))),
            span_errors: (self.kind == Some(Kind::Spans)).then_some(self.spans),
            chrf: (self.kind == Some(Kind::Text)).then(|| self.chrf.score()),
            classes: self.class_table(),
            confused: self.confusions(),
        }
    }

    /// A label that the data do not have says nothing about the expert, and "none of them" is no label among others.
    fn macro_f1(&self) -> Option<Estimate> {
        let in_data: Vec<_> = self
            .counts
            .iter()
            .zip(self.classes.names())
            .filter(|(counts, name)| {
                counts.all.right + counts.all.missed > 0 && Some(name.as_str()) != self.none.as_deref()
            })
            .map(|(counts, _)| counts)
            .collect();
        if in_data.is_empty() {
            return None;
        }
        let mean = |sum: f64| sum / in_data.len() as f64;
        let resampled = (0..RESAMPLES)
            .map(|resample| mean(in_data.iter().map(|counts| f1(wide(counts.resampled[resample]))).sum()));
        let value = mean(in_data.iter().map(|counts| f1(counts.all)).sum());
        Some(bootstrapped(value, resampled.collect(), self.rows.n))
    }

    fn micro_f1(&self) -> Option<Estimate> {
        if self.counts.is_empty() {
            return None;
        }
        let resampled = (0..RESAMPLES)
            .map(|resample| f1(sum(self.counts.iter().map(|counts| wide(counts.resampled[resample])))));
        let value = f1(sum(self.counts.iter().map(|counts| counts.all)));
        Some(bootstrapped(value, resampled.collect(), self.rows.n))
    }

    fn class_table(&self) -> Vec<Class> {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let class = |(name, all): (&String, Cells<u64>)| Class {
            label: name.clone(),
            n: all.right + all.missed,
            n_answered: all.right + all.wrong,
            n_right: all.right,
            precision: share(all.right, all.right + all.wrong),
            recall: share(all.right, all.right + all.missed),
            f1: f1(all),
        };
        let counts = self.counts.iter().map(|counts| counts.all);
        let mut classes: Vec<Class> = self.classes.names().iter().zip(counts).map(class).collect();
        classes.sort_unstable_by(|left, right| left.label.cmp(&right.label));
        classes
    }

    fn confusions(&self) -> Vec<Confused> {
        let name = |class: usize| self.classes.names()[class].clone();
        let mut confused: Vec<Confused> = self
            .confused
            .iter()
            .filter(|((truth, answer), _)| Some(*truth) != *answer)
            .map(|((truth, answer), n)| Confused { truth: name(*truth), answer: answer.map(name), n: *n })
            .collect();
        confused.sort_unstable_by(|left, right| {
            let key =
                |confused: &Confused| (Reverse(confused.n), confused.truth.clone(), confused.answer.clone());
            key(left).cmp(&key(right))
        });
        confused
    }
}

fn f1(cells: Cells<u64>) -> f64 {
    let Cells { right, wrong, missed } = cells;
    2.0 * right as f64 / (2 * right + wrong + missed).max(1) as f64
}

fn wide(cells: Cells<u32>) -> Cells<u64> {
    Cells { right: cells.right.into(), wrong: cells.wrong.into(), missed: cells.missed.into() }
}

fn sum(cells: impl Iterator<Item = Cells<u64>>) -> Cells<u64> {
    cells.fold(Cells::default(), |sum, cells| Cells {
        right: sum.right + cells.right,
        wrong: sum.wrong + cells.wrong,
        missed: sum.missed + cells.missed,
    })
}
