//! Takes down what happens during a run, from any task. One mutex: a recording takes well under a microsecond, and
//! generators rarely have two threads.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nanogrid_proto::v1::OutcomeStatus;
use tokio::time::Instant;
use tonic::Code;

use super::{
    Counts, Detail, Example, Failure, Record, Second, Seen, latencies, micros, outcome_name, status_name,
};
use crate::call::Verdict;
use crate::cases::Case;

/// Enough to see what is wrong; the counts tell how often.
const EXAMPLES_PER_KIND: usize = 3;

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
            let failure = Failure { kind: "not sent".to_owned(), expert: None, reason };
            self.keep(&mut record, due, None, Some(failure), false);
        }
    }

    /// The call has ended, now, with `verdict`.
    pub fn ended(&self, sent: Sent, verdict: &Verdict, case: &Case) {
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
                    input: case.input.to_string().chars().take(80).collect(),
                    expected: case.expected.clone(),
                    got: got.clone(),
                });
            }
        }
        self.keep(&mut record, sent.due, case.expert.as_deref(), failure, latency.is_some());
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

    fn keep(
        &self,
        record: &mut Record,
        due: Instant,
        expert: Option<&str>,
        failure: Option<Failure>,
        is_timed: bool,
    ) {
        if self.detail == Detail::Calls {
            let since_start = |at: Instant| at.saturating_duration_since(self.window.start);
            let (due, ended) = (since_start(due), since_start(Instant::now()));
            let expert = expert.map(str::to_owned);
            record.calls.push(Seen { expert, due, ended, failure, is_timed });
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
