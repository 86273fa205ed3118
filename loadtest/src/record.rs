//! What a run saw. One mutex: a recording takes well under a microsecond, and generators rarely have two threads.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use nanogrid_proto::v1::OutcomeStatus;
use serde::Serialize;
use tokio::time::Instant;
use tonic::Code;

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
    /// What was sent, shortened.
    pub text: String,
    /// What should have come.
    pub expected: Vec<String>,
    /// What came.
    pub got: String,
}

/// Enough to see what is wrong; the counts tell how often.
const EXAMPLES_PER_KIND: usize = 3;

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

/// A call that has been sent and not yet been recorded.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    due: Instant,
    /// Decided once: the window may be closed before the call has ended.
    counts: bool,
}

/// Takes down what happens, from any task.
#[derive(Debug)]
pub struct Recorder {
    window: Range<Instant>,
    /// The end of the window, when it was closed before its time.
    closed: OnceLock<Instant>,
    detail: Detail,
    record: Mutex<Record>,
}

impl Recorder {
    /// Calls due inside `window` count; the others warm the server up.
    pub fn new(window: Range<Instant>, detail: Detail) -> Self {
        let seconds = (window.end - window.start).as_secs_f64().ceil() as usize;
        let second = Second { counts: Counts::default(), latencies: latencies(2) };
        let record = Record {
            counts: Counts::default(),
            latencies: latencies(3),
            lateness: latencies(3),
            answers_in_window: 0,
            examples: Vec::new(),
            timeline: if detail == Detail::Seconds { vec![second; seconds] } else { Vec::new() },
            calls: Vec::new(),
        };
        Self { window, closed: OnceLock::new(), detail, record: Mutex::new(record) }
    }

    /// When calls begin and cease to count.
    pub fn window(&self) -> Range<Instant> {
        let end = self.closed.get().copied().unwrap_or(self.window.end);
        self.window.start..end.min(self.window.end)
    }

    /// Calls that would be due from now on do not count any more.
    pub fn close(&self) {
        let _ = self.closed.set(Instant::now());
    }

    /// A call that was due at `due` leaves now.
    pub fn sent(&self, due: Instant) -> Sent {
        let counts = self.window().contains(&due);
        if counts {
            let mut record = self.record();
            record.counts.due += 1;
            record.lateness.saturating_record(micros(due.elapsed()));
            if let Some(second) = self.second(&mut record, due) {
                second.counts.due += 1;
            }
        }
        Sent { due, counts }
    }

    /// A call that was due at `due` is left out.
    pub fn not_sent(&self, due: Instant) {
        if self.window().contains(&due) {
            let mut record = self.record();
            record.counts.due += 1;
            record.counts.not_sent += 1;
            if let Some(second) = self.second(&mut record, due) {
                second.counts.due += 1;
                second.counts.not_sent += 1;
            }
            let reason = "too many calls were open".to_owned();
            self.keep(
                &mut record,
                due,
                Some(Failure { kind: "not sent".to_owned(), expert: None, reason }),
                false,
            );
        }
    }

    /// The call has ended, now, with `verdict`.
    pub fn ended(&self, sent: Sent, verdict: &Verdict, text: &str, expected: &[String]) {
        let now = Instant::now();
        let mut record = self.record();
        let is_answer = match verdict {
            Verdict::Right | Verdict::Unchecked | Verdict::Wrong { .. } => true,
            Verdict::Missing { .. } | Verdict::Error { .. } => false,
        };
        if is_answer && self.window().contains(&now) {
            record.answers_in_window += 1;
        }
        if !sent.counts {
            return;
        }
        let latency = latency_counts(verdict).then(|| micros(now - sent.due));
        record.counts.add(verdict);
        if let Some(latency) = latency {
            record.latencies.saturating_record(latency);
        }
        if let Some(second) = self.second(&mut record, sent.due) {
            second.counts.add(verdict);
            if let Some(latency) = latency {
                second.latencies.saturating_record(latency);
            }
        }
        let failure = failure(verdict);
        if let Some(Failure { kind, reason: got, .. }) = &failure {
            let n_alike = record.examples.iter().filter(|other| other.kind == *kind).count();
            if n_alike < EXAMPLES_PER_KIND {
                record.examples.push(Example {
                    kind: kind.clone(),
                    text: text.chars().take(80).collect(),
                    expected: expected.to_vec(),
                    got: got.clone(),
                });
            }
        }
        self.keep(&mut record, sent.due, failure, latency.is_some());
    }

    /// What was seen; calls still open count as unfinished.
    pub fn finish(&self) -> Record {
        let mut record = self.record().clone();
        settle(&mut record.counts);
        record.timeline.iter_mut().for_each(|second| settle(&mut second.counts));
        record
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // A panic while recording leaves counts that are off by one at most.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, record: &mut Record, due: Instant, failure: Option<Failure>, is_timed: bool) {
        if self.detail == Detail::Calls {
            let since_start = |at: Instant| at.saturating_duration_since(self.window.start);
            let (due, ended) = (since_start(due), since_start(Instant::now()));
            record.calls.push(Seen { due, ended, failure, is_timed });
        }
    }

    fn second<'a>(&self, record: &'a mut Record, due: Instant) -> Option<&'a mut Second> {
        let idx = (due - self.window.start).as_secs() as usize;
        record.timeline.get_mut(idx)
    }
}

fn settle(counts: &mut Counts) {
    counts.unfinished = counts.due.saturating_sub(counts.answered() + counts.failed());
}

fn latency_counts(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Right | Verdict::Unchecked | Verdict::Wrong { .. } => true,
        // Unspecified: the call went well, and answered something else.
        Verdict::Missing { status, .. } => {
            matches!(status, OutcomeStatus::TimedOut | OutcomeStatus::Unspecified)
        }
        Verdict::Error { code, .. } => *code == Code::DeadlineExceeded,
    }
}

fn failure(verdict: &Verdict) -> Option<Failure> {
    let (kind, expert, reason) = match verdict {
        Verdict::Right | Verdict::Unchecked => return None,
        Verdict::Wrong { got } => ("wrong".to_owned(), None, got),
        Verdict::Missing { expert, status, why } => {
            let kind = if *status == OutcomeStatus::Unspecified {
                "missing".to_owned()
            } else {
                format!("missing {}", outcome_name(*status))
            };
            (kind, expert.clone(), why)
        }
        Verdict::Error { code, message } => (status_name(*code), None, message),
    };
    Some(Failure { kind, expert, reason: reason.clone() })
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
