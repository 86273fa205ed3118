//! What a scenario says: what was promised, what was seen, and the numbers behind it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::metrics::Snapshot;
use crate::record::{Counts, Failure, Latencies, Record, Seen, latencies, micros};

/// The report of one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub scenario: String,
    /// What was done to which grid, under which load.
    pub what: String,
    /// What was promised, and whether it was kept.
    pub promises: Vec<Promise>,
    /// Requests by phase, or by who sent them.
    pub rows: Vec<Row>,
    /// Failures by kind, the most frequent first.
    pub failures: Vec<Reason>,
    /// The longest time in which no answer came.
    pub longest_gap_ms: Option<f64>,
    /// From the fault until requests go as they did before.
    pub recovery_ms: Option<f64>,
    /// What happened when.
    pub events: Vec<Event>,
    /// What the router counted meanwhile.
    pub router: Counted,
    /// Further numbers of this scenario.
    pub numbers: BTreeMap<String, f64>,
}

/// Something that must hold, whatever happens.
#[derive(Clone, Debug, Serialize)]
pub struct Promise {
    /// In a sentence.
    pub promise: String,
    /// Did it hold?
    pub kept: bool,
    /// What was seen.
    pub seen: String,
}

/// Requests that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// e.g. `before`.
    pub name: String,
    /// How many were to be sent.
    pub requests: u64,
    /// How many of them had no right answer.
    pub failed: u64,
    /// Of those that were answered or ran out of time, from when they were due.
    pub p50_ms: f64,
    /// As above.
    pub p99_ms: f64,
}

/// How often requests failed in one way, and an example of why.
#[derive(Clone, Debug, Serialize)]
pub struct Reason {
    /// How, and why.
    #[serde(flatten)]
    pub failure: Failure,
    /// So often.
    pub n: u64,
}

/// Something was done to the grid, or came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Seconds since the start of the load.
    pub at_s: f64,
    /// e.g. `kill -9`.
    pub what: String,
}

/// From the router's own metrics.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counted {
    /// Calls sent to experts: `first`, `retry`, `transparent`, `hedge`.
    pub attempts: BTreeMap<String, f64>,
    /// Tries that were refused, by what refused them.
    pub retries_denied: BTreeMap<String, f64>,
    /// Endpoints taken out, by reason.
    pub ejections: BTreeMap<String, f64>,
    /// Second tries beside the first, by outcome.
    pub hedges: BTreeMap<String, f64>,
    /// Requests the router itself refused, by criticality.
    pub shed: BTreeMap<String, f64>,
}

impl Report {
    pub(crate) fn new(what: String) -> Self {
        Self {
            scenario: String::new(),
            what,
            promises: Vec::new(),
            rows: Vec::new(),
            failures: Vec::new(),
            longest_gap_ms: None,
            recovery_ms: None,
            events: Vec::new(),
            router: Counted::default(),
            numbers: BTreeMap::new(),
        }
    }

    pub(crate) fn promise(&mut self, promise: impl Into<String>, kept: bool, seen: impl Into<String>) {
        self.promises.push(Promise { promise: promise.into(), kept, seen: seen.into() });
    }

    pub(crate) fn number(&mut self, name: &str, value: f64) {
        self.numbers.insert(name.to_owned(), value);
    }

    /// A sentence for each promise that was not kept.
    pub fn broken(&self) -> Vec<String> {
        let broken = self.promises.iter().filter(|promise| !promise.kept);
        broken.map(|Promise { promise, seen, .. }| format!("{}: {promise}: {seen}", self.scenario)).collect()
    }
}

impl Row {
    pub(crate) fn of_calls<'a>(name: &str, calls: impl Iterator<Item = &'a Seen>) -> Self {
        let mut row = Self { name: name.to_owned(), requests: 0, failed: 0, p50_ms: 0.0, p99_ms: 0.0 };
        let mut times = latencies(3);
        for call in calls {
            row.requests += 1;
            row.failed += u64::from(call.failure.is_some());
            if call.is_timed {
                times.saturating_record(micros(call.ended.saturating_sub(call.due)));
            }
        }
        row.with_times(&times)
    }

    pub(crate) fn of_record(name: &str, record: &Record) -> Self {
        let Counts { due: requests, wrong, unfinished, .. } = record.counts;
        let failed = record.counts.failed() + wrong + unfinished;
        Self { name: name.to_owned(), requests, failed, p50_ms: 0.0, p99_ms: 0.0 }
            .with_times(&record.latencies)
    }

    fn with_times(self, times: &Latencies) -> Self {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50_ms: at(0.5), p99_ms: at(0.99), ..self }
    }
}

impl Counted {
    pub(crate) fn of(counted: &Snapshot) -> Self {
        let by = |name: &str, label: &str| {
            let mut values = counted.by(name, label);
            values.retain(|_, value| *value != 0.0);
            values
        };
        Self {
            attempts: by("nanogrid_attempts_total", "kind"),
            retries_denied: by("nanogrid_retries_denied_total", "reason"),
            ejections: by("nanogrid_ejections_total", "reason"),
            hedges: by("nanogrid_hedges_total", "outcome"),
            shed: by("nanogrid_shed_total", "criticality"),
        }
    }
}

/// Failures of one kind are counted together; the first of them says why.
pub(crate) fn reasons<'a>(calls: impl Iterator<Item = &'a Seen>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for failure in calls.filter_map(|call| call.failure.as_ref()) {
        let is_alike = |reason: &&mut Reason| {
            (&reason.failure.kind, &reason.failure.expert) == (&failure.kind, &failure.expert)
        };
        match reasons.iter_mut().find(is_alike) {
            Some(reason) => reason.n += 1,
            None => reasons.push(Reason { failure: failure.clone(), n: 1 }),
        }
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.n));
    reasons
}

/// As [`reasons`], of a run whose calls were not kept one by one: for each kind an example.
pub(crate) fn reasons_of_record(record: &Record) -> Vec<Reason> {
    let errors = record.counts.errors.iter().map(|(kind, n)| (kind.clone(), *n));
    let missing = record.counts.missing_by.iter().map(|(became, n)| (format!("missing {became}"), *n));
    let reason = |(kind, n): (String, u64)| {
        let example = record.examples.iter().find(|example| example.kind == kind);
        let reason = example.map(|example| example.got.clone()).unwrap_or_default();
        Reason { failure: Failure { kind, expert: None, reason }, n }
    };
    errors.chain(missing).map(reason).collect()
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.scenario, self.what)?;
        for Promise { promise, kept, seen } in &self.promises {
            writeln!(f, "  {}  {promise}: {seen}", if *kept { "PASS" } else { "FAIL" })?;
        }
        writeln!(f, "  {:<16}{:>9}{:>9}{:>10}{:>10}", "requests", "sent", "failed", "p50 ms", "p99 ms")?;
        for Row { name, requests, failed, p50_ms, p99_ms } in &self.rows {
            writeln!(f, "  {name:<16}{requests:>9}{failed:>9}{p50_ms:>10.2}{p99_ms:>10.2}")?;
        }
        if let Some(gap) = self.longest_gap_ms {
            writeln!(f, "  longest time without an answer: {gap:.1} ms")?;
        }
        if let Some(recovery) = self.recovery_ms {
            writeln!(f, "  recovered after: {recovery:.0} ms")?;
        }
        for (name, value) in &self.numbers {
            writeln!(f, "  {name}: {value:.1}")?;
        }
        let Counted { attempts, retries_denied, ejections, hedges, shed } = &self.router;
        let counted = [
            ("attempts", attempts),
            ("retries denied", retries_denied),
            ("ejections", ejections),
            ("hedges", hedges),
            ("shed by the router", shed),
        ];
        for (name, by) in counted.into_iter().filter(|(_, by)| !by.is_empty()) {
            let by: Vec<String> = by.iter().map(|(label, n)| format!("{n} {label}")).collect();
            writeln!(f, "  {name}: {}", by.join(", "))?;
        }
        for Event { at_s, what } in &self.events {
            writeln!(f, "  {at_s:>7.2} s  {what}")?;
        }
        for Reason { failure: Failure { kind, reason, .. }, n } in &self.failures {
            writeln!(f, "  {n} x {kind}: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
