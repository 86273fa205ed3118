//! How calls to an expert are kept alive: `[expert.retry]`, `[expert.hedge]`, `[expert.breaker]`, `[expert.cache]` and
//! `[[expert.fallback]]` of the grid file. What is left out has the default that suits an expert of a few milliseconds.
//!
//! ```toml
//! [expert.retry]
//! attempts = 2                    # the first one included, 1 to 5; 1 = no retries
//! budget = 10                     # retries per hundred calls, at most
//! also-on = ["internal"]          # beside `unavailable`: internal, unknown, aborted, data-loss
//! [expert.hedge]                  # absent = off
//! after-percentile = 95           # ask a second endpoint when the first takes longer than this share of calls do
//! budget = 5                      # hedges per hundred calls, at most
//! [expert.breaker]
//! consecutive-failures = 5
//! success-rate = 50               # percent of the calls in `window`, when there were `least-calls`
//! window = "10s"
//! least-calls = 20
//! rest = "1s"                     # before one probe; doubled up to `longest-rest` while probes fail
//! longest-rest = "10s"
//! [expert.cache]                  # absent = off
//! max-bytes = 16777216
//! ttl = "10m"
//! [[expert.fallback]]             # tried in this order when the version chosen cannot answer
//! version = 1                     # or: expert = "intent-small", or: label = "unknown"
//! ```

use std::{collections::HashMap, fmt, str::FromStr, time::Duration};

use serde::Serialize;
use toml::de::DeValue;

use crate::{
    ExpertName, Task,
    document::{
        Table,
        value::{self, must_be},
    },
};

/// Everything that keeps calls to one expert alive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// `[expert.retry]`
    pub retry: Retry,
    /// `[expert.hedge]`; absent = no hedging.
    pub hedge: Option<Hedge>,
    /// `[expert.breaker]`
    pub breaker: Breaker,
    /// `[expert.cache]`; absent = answers are not kept.
    pub cache: Option<Cache>,
    /// `[[expert.fallback]]`, in this order.
    pub fallback: Vec<Fallback>,
}

/// When a call that failed is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Tries in all, the first one included: 1 to 5.
    pub attempts: u32,
    /// Errors that another endpoint may be asked after, beside those that always allow it.
    pub also_on: Vec<RetryOn>,
    /// Retries per call, at most: 0 to 1.
    pub budget: f32,
}

/// An error after which inference, being pure, may be tried elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum RetryOn {
    Internal,
    Unknown,
    Aborted,
    DataLoss,
}

/// When a second endpoint is asked although the first may still answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Hedge {
    /// The quantile of the version's own latency to wait for: 0.5 to 1, exclusive.
    pub after: f32,
    /// Hedges per call, at most: 0 to 1.
    pub budget: f32,
}

/// When an endpoint is left alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// Failures in a row that open it; at least 1.
    pub consecutive_failures: u32,
    /// Share of successes below which it opens: 0 to 1.
    pub success_rate: f32,
    /// The time in which that share is taken.
    pub window: Duration,
    /// Fewer calls than this in the window say nothing.
    pub least_calls: u32,
    /// Before the first probe.
    pub rest: Duration,
    /// Before a probe when all before it failed; not below `rest`.
    pub longest_rest: Duration,
}

/// How answers are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Of all answers kept for the expert.
    pub max_bytes: usize,
    /// How long one is kept.
    pub ttl: Duration,
}

/// Who answers in place of a version that cannot.
#[derive(Clone, Debug, PartialEq)]
pub enum Fallback {
    /// Another version of the same expert, in the same file.
    Version(u32),
    /// Another expert of the same file, with the same task.
    Expert(ExpertName),
    /// Nobody: this label.
    Label(String),
}

impl Default for Retry {
    fn default() -> Self {
        // One more try finds a healthy endpoint wherever there is one; more would feed a storm.
        Self { attempts: 2, also_on: Vec::new(), budget: 0.1 }
    }
}

impl Default for Hedge {
    fn default() -> Self {
        Self { after: 0.95, budget: 0.05 }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            success_rate: 0.5,
            window: Duration::from_secs(10),
            least_calls: 20,
            rest: Duration::from_secs(1),
            // Inside a cluster an endpoint that has healed is wanted back soon.
            longest_rest: Duration::from_secs(10),
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { max_bytes: 16 << 20, ttl: Duration::from_secs(600) }
    }
}

impl RetryOn {
    const ALL: [Self; 4] = [Self::Internal, Self::Unknown, Self::Aborted, Self::DataLoss];

    /// As it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Unknown => "unknown",
            Self::Aborted => "aborted",
            Self::DataLoss => "data-loss",
        }
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RetryOn {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|known| known.as_str() == code).ok_or_else(|| {
            let known = Self::ALL.map(|known| format!("`{known}`")).join(", ");
            format!("must be one of {known}: `{code}`")
        })
    }
}

/// `tasks`: of every expert in the file, by name.
pub(super) fn policy(expert: &Table<'_>, tasks: &HashMap<String, String>) -> Option<Policy> {
    Some(Policy {
        retry: expert.table("retry", retry).unwrap_or_default(),
        hedge: expert.table("hedge", hedge),
        breaker: expert.table("breaker", breaker).unwrap_or_default(),
        cache: expert.table("cache", cache),
        fallback: expert.tables("fallback", "", |table| fallback(table, expert, tasks)),
    })
}

fn retry(table: &Table<'_>) -> Option<Retry> {
    let default = Retry::default();
    Some(Retry {
        attempts: table.optional("attempts", attempts).unwrap_or(default.attempts),
        also_on: table.list("also-on", value::parsed).unwrap_or_default(),
        budget: table.optional("budget", share).unwrap_or(default.budget),
    })
}

fn hedge(table: &Table<'_>) -> Option<Hedge> {
    let default = Hedge::default();
    Some(Hedge {
        after: table.optional("after-percentile", percentile).unwrap_or(default.after),
        budget: table.optional("budget", share).unwrap_or(default.budget),
    })
}

fn breaker(table: &Table<'_>) -> Option<Breaker> {
    let default = Breaker::default();
    let breaker = Breaker {
        consecutive_failures: table
            .optional("consecutive-failures", positive)
            .unwrap_or(default.consecutive_failures),
        success_rate: table.optional("success-rate", share).unwrap_or(default.success_rate),
        window: table.optional("window", value::duration).unwrap_or(default.window),
        least_calls: table.optional("least-calls", positive).unwrap_or(default.least_calls),
        rest: table.optional("rest", value::duration).unwrap_or(default.rest),
        longest_rest: table.optional("longest-rest", value::duration).unwrap_or(default.longest_rest),
    };
    if breaker.longest_rest < breaker.rest {
        let problem = format!("must not be below `rest`, {:?}: {:?}", breaker.rest, breaker.longest_rest);
        table.note("longest-rest", problem);
    }
    Some(breaker)
}

fn cache(table: &Table<'_>) -> Option<Cache> {
    let default = Cache::default();
    Some(Cache {
        max_bytes: table.optional("max-bytes", value::at_least_one).map_or(default.max_bytes, usize::from),
        ttl: table.optional("ttl", value::duration).unwrap_or(default.ttl),
    })
}

/// What stands in must be there now: a name that leads nowhere would be found out on the day it is needed.
fn fallback(table: &Table<'_>, expert: &Table<'_>, tasks: &HashMap<String, String>) -> Option<Fallback> {
    let keys = ["version", "expert", "label"];
    let n_keys = keys.into_iter().filter(|key| table.has(key)).count();
    if n_keys != 1 {
        table.note("", format!("must have one of `version`, `expert` and `label`: {n_keys} are there"));
    }
    let own_task = expert.peek_text("task").unwrap_or_default();
    let version = table.optional("version", value::version);
    let name: Option<ExpertName> = table.optional("expert", value::parsed);
    let label = table.optional("label", value::text);
    if let Some(version) = version
        && !expert.peek_integers("version", "version").contains(&version.into())
    {
        table.note("version", format!("the expert has no such version: {version}"));
    }
    if let Some(name) = &name {
        match tasks.get(name.as_str()) {
            _ if expert.peek_text("name") == Some(name.as_str()) => {
                table.note("expert", format!("an expert cannot stand in for itself: `{name}`"));
            }
            None => table.note("expert", format!("there is no such expert in this file: `{name}`")),
            Some(task) if task != own_task => {
                table.note("expert", format!("must have the task `{own_task}`, `{name}` has: `{task}`"));
            }
            Some(_) => {}
        }
    }
    if label.is_some() && own_task.parse().is_ok_and(|task| !has_labels(task)) {
        table.note("label", format!("the answer of an expert of this task is no label: `{own_task}`"));
    }
    version
        .map(Fallback::Version)
        .or_else(|| name.map(Fallback::Expert))
        .or_else(|| label.map(Fallback::Label))
}

fn has_labels(task: Task) -> bool {
    match task {
        Task::TextClassification | Task::ImageClassification => true,
        Task::TokenClassification
        | Task::TextToText
        | Task::Embedding
        | Task::SpeechToText
        | Task::TextToSpeech
        | Task::Series
        | Task::Tensor => false,
    }
}

fn attempts(value: &DeValue<'_>) -> Result<u32, String> {
    let expected = "from 1 to 5";
    let attempts = value::integer(expected, value)?;
    if (1..=5).contains(&attempts) { Ok(attempts) } else { Err(must_be(expected, value)) }
}

fn positive(value: &DeValue<'_>) -> Result<u32, String> {
    let expected = "at least 1";
    let number = value::integer(expected, value)?;
    if number > 0 { Ok(number) } else { Err(must_be(expected, value)) }
}

fn share(value: &DeValue<'_>) -> Result<f32, String> {
    between(0.0..=100.0, "a percentage from 0 to 100", value)
}

fn percentile(value: &DeValue<'_>) -> Result<f32, String> {
    between(50.0..=99.9, "a percentile from 50 to 99.9", value)
}

fn between(range: std::ops::RangeInclusive<f64>, expected: &str, value: &DeValue<'_>) -> Result<f32, String> {
    let percent = value::number(value)?;
    if range.contains(&percent) { Ok((percent / 100.0) as f32) } else { Err(must_be(expected, value)) }
}

#[cfg(test)]
mod tests;
