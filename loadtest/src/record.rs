//! What a run saw.

mod recorder;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use nanogrid_proto::v1::OutcomeStatus;
use serde::Serialize;
use tonic::Code;

pub use recorder::{Recorder, Sent};

use crate::call::Verdict;

/// Microseconds: one part in a thousand of any latency up to ten minutes.
pub type Latencies = Histogram<u64>;

/// How much is kept beside the totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Nothing.
    #[default]
    Totals,
    /// One row per second.
    Seconds,
    /// Every call: for runs of thousands, not of millions.
    Calls,
}

/// Calls by what became of them. A call belongs to the run when it was due inside the measured window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls due in the window; the sum of all below.
    pub due: u64,
    /// Answers with the expected label.
    pub right: u64,
    /// Answers to inputs that expect nothing.
    pub unchecked: u64,
    /// Answers with another label.
    pub wrong: u64,
    /// Calls that went well but held no answer of the expert.
    pub missing: u64,
    /// The same, by what became of the call to the expert.
    pub missing_by: BTreeMap<String, u64>,
    /// Calls that failed, by status.
    pub errors: BTreeMap<String, u64>,
    /// Never sent, because too many calls were still open.
    pub not_sent: u64,
    /// Still open when the run was interrupted.
    pub unfinished: u64,
}

impl Counts {
    /// Calls that failed, or were not even sent, or came back without the answer. Wrong answers are counted apart.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum::<u64>() + self.missing + self.not_sent
    }

    /// Calls with an answer, right or wrong.
    pub fn answered(&self) -> u64 {
        self.right + self.unchecked + self.wrong
    }

    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Right => self.right += 1,
            Verdict::Unchecked => self.unchecked += 1,
            Verdict::Wrong { .. } => self.wrong += 1,
            Verdict::Missing { status, .. } => {
                self.missing += 1;
                *self.missing_by.entry(outcome_name(*status).to_owned()).or_default() += 1;
            }
            Verdict::Error { code, .. } => *self.errors.entry(status_name(*code)).or_default() += 1,
        }
    }
}

/// One second of the measured window, by when calls were due.
#[derive(Clone, Debug)]
pub struct Second {
    /// As for the whole run.
    pub counts: Counts,
    /// As for the whole run.
    pub latencies: Latencies,
}

/// One call, for questions that totals do not answer. Times count from the start of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whose answer is checked; `None` = whoever answers, or nothing was sent.
    pub expert: Option<String>,
    /// When it was to be sent.
    pub due: Duration,
    /// When its end was known.
    pub ended: Duration,
    /// `None` = it was answered, and rightly where that is known.
    pub failure: Option<Failure>,
    /// Its time belongs in the percentiles: see [`Record::latencies`].
    pub is_timed: bool,
}

/// Why a call did not go as it should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Failure {
    /// `wrong`, `missing` with what became of the call to the expert, `not sent`, or the status.
    pub kind: String,
    /// Whose answer is missing, where that is known.
    pub expert: Option<String>,
    /// For people.
    pub reason: String,
}

/// A call that did not go as it should, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// `wrong`, `missing`, or the status.
    pub kind: String,
    /// The text that was sent, or where its image is, shortened.
    pub input: String,
    /// What should have come.
    pub expected: Vec<String>,
    /// What came.
    pub got: String,
}

/// Everything seen so far.
#[derive(Clone, Debug)]
pub struct Record {
    /// Calls by what became of them.
    pub counts: Counts,
    /// From when a call was due to when it ended. A time-out is in it, since it took at least that long; other failures
    /// are not, since one that comes fast must not make the percentiles look better.
    pub latencies: Latencies,
    /// From when a call was due to when it was sent: how late the generator itself was.
    pub lateness: Latencies,
    /// Answers that came inside the window, whenever their calls were due.
    pub answers_in_window: u64,
    /// Of each kind of trouble, the first few.
    pub examples: Vec<Example>,
    /// Filled for [`Detail::Seconds`].
    pub timeline: Vec<Second>,
    /// Filled for [`Detail::Calls`], in the order in which they ended.
    pub calls: Vec<Seen>,
}

pub(crate) fn latencies(digits: u8) -> Latencies {
    let ten_minutes = 600_000_000;
    Histogram::new_with_bounds(1, ten_minutes, digits).expect("bounds and digits are constants that fit")
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// `OUTCOME_STATUS_TIMED_OUT` without what all of them begin with.
fn outcome_name(status: OutcomeStatus) -> &'static str {
    let name = status.as_str_name();
    name.strip_prefix("OUTCOME_STATUS_").unwrap_or(name)
}

/// `DeadlineExceeded` as the protocol spells it: `DEADLINE_EXCEEDED`.
fn status_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
