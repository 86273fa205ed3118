//! What is known when the last row was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use hdrhistogram::Histogram;
use nanogrid_evaluation::{Class, Estimate, Summary, Tally, TooManyLabels};
use serde_json::{Value, json};

use crate::{
    error::Exit,
    eval::{
        Eval,
        ask::{Asked, Said},
        target::Target,
    },
};

/// Of what went wrong, so many examples are kept.
const EXAMPLES: usize = 5;

/// An answer is never later than this, in microseconds.
const LONGEST: u64 = 3_600_000_000;

pub(crate) struct Report {
    pub(crate) expert: String,
    pub(crate) task: &'static str,
    pub(crate) place: String,
    pub(crate) path: PathBuf,
    pub(crate) concurrency: usize,
    pub(crate) took: Duration,
    /// By Ctrl-C.
    pub(crate) stopped: bool,
    /// Answers by the version that gave them.
    pub(crate) versions: BTreeMap<String, u64>,
    pub(crate) n_answered: u64,
    pub(crate) failures: BTreeMap<String, Failures>,
    pub(crate) n_bad: u64,
    pub(crate) bad: Vec<(u64, String)>,
    /// In microseconds.
    latency: Histogram<u64>,
    labels: Option<BTreeSet<String>>,
    tally: Tally,
}

/// Rows that have no answer, for one reason.
pub(crate) struct Failures {
    pub(crate) n: u64,
    /// The first one seen.
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// Labels of the data that the expert cannot or does not give.
pub(crate) struct Strangers {
    pub(crate) labels: Vec<(String, u64)>,
    /// It cannot, as far as it says; otherwise it just never did.
    pub(crate) certain: bool,
}

impl Report {
    pub(crate) fn new(eval: &Eval, target: &Target) -> Self {
        Self {
            expert: target.expert.clone(),
            task: target.task.as_str(),
            place: target.place.clone(),
            path: eval.data.clone(),
            concurrency: eval.concurrency.get(),
            took: Duration::ZERO,
            stopped: false,
            versions: BTreeMap::new(),
            n_answered: 0,
            failures: BTreeMap::new(),
            n_bad: 0,
            bad: Vec::new(),
            latency: Histogram::new_with_bounds(1, LONGEST, 3).expect("1 us to an hour, three digits"),
            labels: target.labels.clone(),
            tally: Tally::new(target.none.clone(), eval.seed),
        }
    }

    pub(crate) fn add(&mut self, asked: Asked) -> Result<(), TooManyLabels> {
        match asked.result {
            Ok(Said { answer, version, latency }) => {
                self.tally.add(asked.row.line, &asked.row.truth, &answer)?;
                self.n_answered += 1;
                *self.versions.entry(version).or_default() += 1;
                self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST));
            }
            Err(failure) => {
                let (line, message) = (asked.row.line, failure.message);
                self.failures.entry(failure.kind).or_insert(Failures { n: 0, line, message }).n += 1;
            }
        }
        Ok(())
    }

    /// A row that could not be read.
    pub(crate) fn skip(&mut self, line: u64, problem: String) {
        self.n_bad += 1;
        if self.bad.len() < EXAMPLES {
            self.bad.push((line, problem));
        }
    }

    /// For the progress bar.
    pub(crate) fn so_far(&self) -> String {
        let right = self.tally.share_right().map(|share| format!(", {:.1} % right", share * 100.0));
        let failed = self.n_failed();
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        format!("{} rows{}{failed}", self.n_answered, right.unwrap_or_default())
    }

    /// Rows that need no more work.
    pub(crate) fn n_done(&self) -> u64 {
        self.n_answered + self.n_failed() + self.n_bad
    }

    pub(crate) fn n_failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.n).sum()
    }

    pub(crate) fn exit(&self) -> Exit {
        if self.failures.is_empty() && !self.stopped { Exit::Done } else { Exit::Partial }
    }

    pub(crate) fn summary(&self) -> Summary {
        self.tally.summary()
    }

    pub(crate) fn rows_per_second(&self) -> Option<f64> {
        let seconds = self.took.as_secs_f64();
        (seconds > 0.0).then(|| self.n_answered as f64 / seconds)
    }

    /// `None` before the first answer.
    pub(crate) fn latency_at(&self, share: f64) -> Option<Duration> {
        (!self.latency.is_empty()).then(|| Duration::from_micros(self.latency.value_at_quantile(share)))
    }

    pub(crate) fn strangers(&self, classes: &[Class]) -> Option<Strangers> {
        let is_known = |label: &String| self.labels.as_ref().is_some_and(|labels| labels.contains(label));
        let labels: Vec<_> = classes
            .iter()
            .filter(|class| class.n > 0 && class.n_answered == 0 && !is_known(&class.label))
            .map(|class| (class.label.clone(), class.n))
            .collect();
        (!labels.is_empty()).then_some(Strangers { labels, certain: self.labels.is_some() })
    }

    pub(crate) fn to_json(&self) -> Value {
        let summary = self.summary();
        let strangers = self.strangers(&summary.classes);
        let milliseconds = |share| self.latency_at(share).map(|time| time.as_secs_f64() * 1e3);
        json!({
            "expert": self.expert,
            "task": self.task,
            "at": self.place,
            "data": self.path.display().to_string(),
            "versions": self.versions,
            "stopped": self.stopped,
            "rows": {
                "answered": self.n_answered,
                "failed": self.n_failed(),
                "bad": self.n_bad,
            },
            "accuracy": estimate(summary.accuracy),
            "macro_f1": estimate(summary.macro_f1),
            "micro_f1": estimate(summary.micro_f1),
            "chrf": summary.chrf,
            "in_scope_accuracy": summary.scope.and_then(|scope| estimate(scope.in_scope)),
            "out_of_scope_recall": summary.scope.and_then(|scope| estimate(Some(scope.outside))),
            "coverage": summary.answered.and_then(|(share, _)| estimate(Some(share))),
            "accuracy_of_covered": summary.answered.and_then(|(_, right)| estimate(right)),
            "span_errors": summary.span_errors.map(|errors| json!({
                "entity": errors.entity,
                "bounds": errors.bounds,
                "missed": errors.missed,
                "invented": errors.invented,
            })),
            "classes": summary.classes.iter().map(|class| json!({
                "label": class.label,
                "n": class.n,
                "n_answered": class.n_answered,
                "n_right": class.n_right,
                "precision": class.precision,
                "recall": class.recall,
                "f1": class.f1,
            })).collect::<Vec<_>>(),
            "confused": summary.confused.iter().map(|confused| json!({
                "truth": confused.truth,
                "answer": confused.answer,
                "n": confused.n,
            })).collect::<Vec<_>>(),
            "unknown_labels": strangers.map(|strangers| strangers.labels.into_iter().collect::<BTreeMap<_, _>>()).unwrap_or_default(),
            "failures": self.failures.iter().map(|(kind, failures)| json!({
                "kind": kind,
                "n": failures.n,
                "first_line": failures.line,
                "message": failures.message,
            })).collect::<Vec<_>>(),
            "bad_rows": self.bad.iter().map(|(line, problem)| json!({"line": line, "problem": problem})).collect::<Vec<_>>(),
            "concurrency": self.concurrency,
            "seconds": self.took.as_secs_f64(),
            "rows_per_second": self.rows_per_second(),
            "latency_ms": {
                "p50": milliseconds(0.5),
                "p90": milliseconds(0.9),
                "p99": milliseconds(0.99),
                "max": milliseconds(1.0),
            },
        })
    }
}

fn estimate(estimate: Option<Estimate>) -> Option<Value> {
    estimate.map(|Estimate { value, low, high, n }| json!({"value": value, "low": low, "high": high, "n": n}))
}
