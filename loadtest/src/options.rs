//! The command line: what was written, what it means.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Parser};
use serde::Serialize;

use crate::arrivals::Distribution;
use crate::call::{Api, Ask, Criticality, Prepared};
use crate::load::{Load, Shape};
use crate::record::{Counts, Detail};
use crate::{Error, cases};

mod scenario;

pub use scenario::ScenarioOptions;

/// The whole command line: a run, or something else.
#[derive(Clone, Debug, Parser)]
#[command(name = "nanogrid-loadtest", version, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    /// Without one, a run.
    #[command(subcommand)]
    pub command: Option<Subcommand>,
    /// Of a run.
    #[command(flatten)]
    pub run: Options,
}

/// What there is beside a run.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Break a small grid on purpose, under load, and say whether it kept its promises
    Scenario(ScenarioOptions),
}

/// Puts a grid, an expert, or any server of the Open Inference Protocol under load, and checks every answer.
///
/// Exit codes: 0 = done, 1 = a `--max-...` was exceeded or nothing was answered, 2 = the run could not begin.
#[derive(Clone, Debug, clap::Args)]
#[command(group = ArgGroup::new("shape").args(["concurrency", "rate"]))]
pub struct Options {
    /// Where to send: `host:port`
    #[arg(long, default_value = "127.0.0.1:8001")]
    pub addr: String,
    /// Which service to call; `oip` works on routers, experts and other servers
    #[arg(long, value_enum, default_value = "grid")]
    pub api: Api,
    /// Ask this expert, with its own inputs only; without it the router's classifier decides
    #[arg(long, value_name = "NAME")]
    pub expert: Option<String>,
    /// Each input names its own expert, so that the classifier is not consulted
    #[arg(long, conflicts_with = "expert")]
    pub explicit: bool,
    /// Who is shed first under overload: each call says this of itself
    #[arg(long, value_enum)]
    pub criticality: Option<Criticality>,
    /// Inputs with expected labels or texts, `.jsonl` or `.tsv`; without it the golden cases of the catalog
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Where the golden cases are
    #[arg(long, value_name = "FOLDER", default_value = "experts/catalog")]
    pub catalog: PathBuf,

    /// Closed loop: callers that each wait for an answer before they ask again [default: 1]
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub concurrency: Option<usize>,
    /// Open loop: calls a second, started on schedule whatever the answers do
    #[arg(long, value_name = "PER_SECOND", value_parser = above_0)]
    pub rate: Option<f64>,
    /// Open loop: how the gaps between calls are spread
    #[arg(long, value_enum, default_value = "exponential")]
    pub arrivals: Distribution,
    /// Open loop: with this many calls open, further ones are not sent and count as failed
    #[arg(long, value_name = "N", default_value = "10000", value_parser = at_least_1)]
    pub max_in_flight: usize,
    /// Connections that the calls take in turn
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_1)]
    pub connections: usize,
    /// How long to measure
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Load before that, not measured
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub warmup: Duration,
    /// A call without an answer is given up after this
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Threads of the generator itself
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_1)]
    pub threads: usize,
    /// Fixes the order of the inputs and the times of the calls
    #[arg(long, default_value = "1")]
    pub seed: u64,

    /// One row per second as well
    #[arg(long)]
    pub timeline: bool,
    /// The report as JSON
    #[arg(long)]
    pub json: bool,
    /// What turns the report into exit code 1
    #[command(flatten)]
    pub limits: Limits,
}

/// What turns a report into exit code 1.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Limits {
    /// Calls that may fail or lack their answer: a number, or a share such as `0.1%`
    #[arg(long, value_name = "N|P%")]
    pub max_errors: Option<Allowance>,
    /// Answers that may be others than expected: a number, or a share such as `2%`
    #[arg(long, value_name = "N|P%")]
    pub max_wrong: Option<Allowance>,
    /// The highest 99th percentile of latency
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub max_p99: Option<Duration>,
}

/// How many of something are tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Allowance {
    /// This many.
    Number(u64),
    /// This share of all calls, 0 to 1.
    Share(f64),
}

impl Allowance {
    /// Are `n` of `total` too many?
    pub fn is_exceeded(&self, n: u64, total: u64) -> bool {
        match self {
            Self::Number(most) => n > *most,
            Self::Share(most) => n as f64 > most * total as f64,
        }
    }
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("must be a number such as `10` or a share such as `0.1%`: `{text}`");
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Number).map_err(|_| wanted()),
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| wanted())?;
                (0.0..=100.0).contains(&percent).then_some(Self::Share(percent / 100.0)).ok_or_else(wanted)
            }
        }
    }
}

impl Options {
    /// How much load, for how long.
    pub fn load(&self) -> Load {
        let shape = match self.rate {
            Some(rate) => Shape::Open { rate, arrivals: self.arrivals, max_in_flight: self.max_in_flight },
            None => Shape::Closed { concurrency: self.concurrency.unwrap_or(1) },
        };
        let Self { warmup, duration, seed, .. } = *self;
        let detail = if self.timeline { Detail::Seconds } else { Detail::Totals };
        Load { shape, warmup, duration, seed, detail }
    }

    /// Whom the inputs are for.
    pub fn ask(&self) -> Ask {
        match (&self.expert, self.explicit) {
            (Some(name), _) => Ask::Expert(name.clone()),
            (None, true) => Ask::EachItsOwn,
            (None, false) => Ask::Classifier,
        }
    }

    /// Reads the inputs; at least one comes back.
    pub fn inputs(&self) -> Result<Vec<Prepared>, Error> {
        let (path, mut cases) = match &self.input {
            Some(path) => (path, cases::read(path)?),
            None => (&self.catalog, cases::golden(&self.catalog, self.expert.as_deref())?),
        };
        cases.retain(|case| !case.input.is_blank());
        if let Some(name) = &self.expert {
            cases.retain(|case| case.expert.as_ref().is_none_or(|expert| expert == name));
            cases.iter_mut().for_each(|case| case.expert = Some(name.clone()));
        }
        if cases.is_empty() {
            return Err(Error::NoCases { path: path.clone(), expert: self.expert.clone() });
        }
        let ask = self.ask();
        Ok(cases.into_iter().map(|case| Prepared::new(case, self.api, &ask)).collect())
    }
}

impl Limits {
    /// One sentence for each limit that was exceeded.
    pub fn exceeded(&self, counts: &Counts, p99: Duration) -> Vec<String> {
        let mut exceeded = Vec::new();
        if counts.answered() == 0 {
            exceeded.push("nothing was answered".to_owned());
        }
        if self.max_errors.is_some_and(|most| most.is_exceeded(counts.failed(), counts.due)) {
            exceeded.push(format!("`--max-errors`: {} of {} calls failed", counts.failed(), counts.due));
        }
        if self.max_wrong.is_some_and(|most| most.is_exceeded(counts.wrong, counts.due)) {
            exceeded.push(format!("`--max-wrong`: {} of {} answers are wrong", counts.wrong, counts.due));
        }
        if self.max_p99.is_some_and(|most| p99 > most) {
            exceeded.push(format!("`--max-p99`: {p99:?}"));
        }
        exceeded
    }
}

fn at_least_1(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n >= 1 => Ok(n),
        Ok(_) | Err(_) => Err("must be a number of at least 1".to_owned()),
    }
}

fn above_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        Ok(_) | Err(_) => Err("must be a number above 0".to_owned()),
    }
}

#[cfg(test)]
mod tests;
