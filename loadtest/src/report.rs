//! What a run says: for people as text, for scripts as JSON with everything needed to repeat it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::call::{Api, Ask};
use crate::load::{Load, Run, Shape};
use crate::machine::Origin;
use crate::record::{Counts, Example, Latencies, Second};

/// Above this share of its threads, the generator itself is what is measured.
const BUSY: f64 = 0.8;

/// A generator later than this at the 99th percentile adds to the latencies it reports.
const LATE: Duration = Duration::from_millis(1);

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Machine, commit, command.
    pub origin: Origin,
    /// Where the calls went.
    pub target: Target,
    /// How much load, for how long.
    #[serde(flatten)]
    load: LoadInWords,
    /// Seconds measured.
    pub measured_s: f64,
    /// Stopped before the time was over: the numbers are of what was seen until then.
    pub interrupted: bool,
    /// Calls by what became of them.
    pub counts: Counts,
    /// Answers a second.
    pub throughput: f64,
    /// From when a call was due to its end; errors other than time-outs left out.
    pub latency_ms: Percentiles,
    /// From when a call was due to when it was sent.
    pub lateness_ms: Percentiles,
    /// Processor cores this process used; absent where unknown.
    pub generator_cores: Option<f64>,
    /// Reasons to doubt the numbers.
    pub warnings: Vec<String>,
    /// Limits that were exceeded.
    pub exceeded: Vec<String>,
    /// The first few calls that did not go as they should.
    pub examples: Vec<Example>,
    /// One row per second, when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Row>,
}

/// Where the calls went.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// As given.
    pub addr: String,
    /// Name and version the server gives itself.
    pub server: Option<String>,
    /// Which service.
    pub api: Api,
    /// Who was to answer.
    pub ask: Ask,
    /// Connections that the calls took in turn.
    pub connections: usize,
    /// Threads of the generator.
    pub threads: usize,
}

#[derive(Debug, Serialize)]
struct LoadInWords {
    #[serde(flatten)]
    shape: Shape,
    warmup_s: f64,
    seed: u64,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p999: f64,
    pub max: f64,
    pub mean: f64,
}

/// One second, by when its calls were due.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Since the start of the measured window.
    pub second: usize,
    /// Calls by what became of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Of the calls due in this second.
    pub latency_ms: Percentiles,
}

impl Percentiles {
    fn of(latencies: &Latencies) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| ms(latencies.value_at_quantile(quantile));
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(latencies.max()),
            mean: latencies.mean() / 1000.0,
        }
    }
}

impl Report {
    /// Puts a run in words.
    pub fn new(origin: Origin, target: Target, load: &Load, run: Run) -> Self {
        let measured_s = run.measured.as_secs_f64();
        let record = run.record;
        let per_second = |n: u64| if measured_s > 0.0 { n as f64 / measured_s } else { 0.0 };
        let row = |(second, of): (usize, &Second)| Row {
            second,
            counts: of.counts.clone(),
            latency_ms: Percentiles::of(&of.latencies),
        };
        let mut report = Self {
            throughput: per_second(record.answers_in_window),
            latency_ms: Percentiles::of(&record.latencies),
            lateness_ms: Percentiles::of(&record.lateness),
            generator_cores: run.cpu.map(|share| share.cores),
            load: LoadInWords { shape: load.shape, warmup_s: load.warmup.as_secs_f64(), seed: load.seed },
            timeline: record.timeline.iter().enumerate().map(row).collect(),
            counts: record.counts,
            examples: record.examples,
            interrupted: run.interrupted,
            exceeded: Vec::new(),
            warnings: Vec::new(),
            measured_s,
            origin,
            target,
        };
        report.warnings = report.doubts();
        report
    }

    /// The 99th percentile of latency.
    pub fn p99(&self) -> Duration {
        Duration::from_secs_f64(self.latency_ms.p99 / 1000.0)
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let threads = self.target.threads;
        if let Some(cores) = self.generator_cores.filter(|cores| *cores > BUSY * threads as f64) {
            doubts.push(format!(
                "the generator itself is at its limit ({cores:.2} cores, `--threads {threads}`): \
                 raise `--threads`, or use another machine for it"
            ));
        }
        let is_open = matches!(self.load.shape, Shape::Open { .. });
        if is_open && self.lateness_ms.p99 > LATE.as_secs_f64() * 1000.0 {
            doubts.push(format!(
                "calls left up to {:.1} ms late (p99), which is counted as latency: the machine or the generator is overloaded",
                self.lateness_ms.p99
            ));
        }
        if self.counts.not_sent > 0 {
            doubts.push(format!("{} calls were not sent: too many were open", self.counts.not_sent));
        }
        if self.counts.unchecked > 0 {
            doubts.push(format!(
                "{} answers have no expected label and were not checked",
                self.counts.unchecked
            ));
        }
        doubts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, counts) = (&self.target, &self.counts);
        let server = target.server.as_deref().unwrap_or("a server that does not tell its name");
        writeln!(f, "{server} at {}", target.addr)?;
        writeln!(
            f,
            "{}, {:.1} s measured after {:.1} s",
            self.load.shape, self.measured_s, self.load.warmup_s
        )?;
        if self.interrupted {
            writeln!(f, "interrupted: this is what was seen until then")?;
        }
        writeln!(f, "\nanswers     {:.1}/s", self.throughput)?;
        let ms = &self.latency_ms;
        writeln!(f, "latency ms  p50      p90      p95      p99      p99.9    max")?;
        let values = [ms.p50, ms.p90, ms.p95, ms.p99, ms.p999, ms.max].map(|value| format!("{value:<9.3}"));
        writeln!(f, "            {}", values.concat().trim_end())?;
        writeln!(
            f,
            "calls       {} due: {} right, {} wrong, {} missing, {} unchecked, {} not sent, {} unfinished",
            counts.due,
            counts.right,
            counts.wrong,
            counts.missing,
            counts.unchecked,
            counts.not_sent,
            counts.unfinished
        )?;
        for (status, n) in &counts.errors {
            writeln!(f, "            {n} {status}")?;
        }
        if let Some(cores) = self.generator_cores {
            writeln!(
                f,
                "generator   {cores:.2} cores, calls left {:.3} ms late (p99)",
                self.lateness_ms.p99
            )?;
        }
        for row in &self.timeline {
            let (counts, ms) = (&row.counts, &row.latency_ms);
            write!(f, "second {:<4} {} due, {} answered, ", row.second, counts.due, counts.answered())?;
            writeln!(f, "{} failed, p50 {:.3} ms, p99 {:.3} ms", counts.failed(), ms.p50, ms.p99)?;
        }
        for example in &self.examples {
            let Example { kind, input, expected, got } = example;
            let wanted =
                if expected.is_empty() { String::new() } else { format!(" (`{}`)", expected.join("` or `")) };
            writeln!(f, "{kind:<11} {input:?}{wanted}: {got}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning     {warning}")?;
        }
        for exceeded in &self.exceeded {
            writeln!(f, "exceeded    {exceeded}")?;
        }
        write!(f, "\n{}", self.origin)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { concurrency } => write!(f, "closed loop, {concurrency} in flight"),
            Self::Open { rate, arrivals, .. } => {
                let spread = format!("{arrivals:?}").to_lowercase();
                write!(f, "open loop, {rate} calls/s ({spread} arrivals)")
            }
        }
    }
}

#[cfg(test)]
mod tests;
