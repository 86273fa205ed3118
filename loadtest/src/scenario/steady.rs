//! Steady load on a grid while something is done to it.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::grid::Grid;
use super::metrics::Snapshot;
use super::report::{Counted, Event, Report, Row, ms, reasons};
use crate::Error;
use crate::arrivals::Distribution;
use crate::call::{Caller, Prepared};
use crate::load::{self, Load, Shape, Stop};
use crate::record::{Detail, Seen};
use crate::timer::Timer;

/// Connections, sessions and estimates of latency are warm after this.
const WARMUP: Duration = Duration::from_secs(1);
/// At least this long before anything happens, and after it is over.
const CALM: Duration = Duration::from_secs(2);
/// Arrivals are random: this much longer than the mean takes, so that not fewer requests come than were asked for.
const MARGIN: f64 = 1.1;
/// Nothing here takes so long; a script that hangs ends with it.
const LONGEST: Duration = Duration::from_secs(600);
/// So many calls wait only when everything hangs.
const MAX_IN_FLIGHT: usize = 10_000;
/// Short enough to tell when a grid has recovered, long enough for a median.
const BUCKET: Duration = Duration::from_millis(250);

/// An open loop.
pub(crate) struct SteadyLoad {
    pub(crate) inputs: Vec<Prepared>,
    /// Requests a second.
    pub(crate) rate: f64,
    /// At least so many in all.
    pub(crate) requests: u64,
    /// Of each.
    pub(crate) deadline: Duration,
}

/// What happened when. Times count from the start of the measured load.
pub(crate) struct Diary {
    start: Instant,
    events: RefCell<Vec<Event>>,
}

/// What came of the load, and what the script returned.
pub(crate) struct Observed<T> {
    /// In the order in which they ended.
    pub(crate) calls: Vec<Seen>,
    /// What the router counted meanwhile.
    pub(crate) counted: Snapshot,
    pub(crate) script: T,
    events: Vec<Event>,
    rate: f64,
}

impl Diary {
    /// Writes down what was just done; returns when that was.
    pub(crate) fn note(&self, what: impl Into<String>) -> Duration {
        let at = self.now();
        self.events.borrow_mut().push(Event { at_s: at.as_secs_f64(), what: what.into() });
        at
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl SteadyLoad {
    /// Runs `script` under load; the load goes on until the script is over and enough requests were sent.
    pub(crate) async fn during<T>(
        self,
        grid: &mut Grid,
        script: impl AsyncFnOnce(&mut Grid, &Diary) -> Result<T, Error>,
    ) -> Result<Observed<T>, Error> {
        let caller = Arc::new(Caller::connect(&grid.address.to_string(), 1, self.deadline).await?);
        let load = Load {
            shape: Shape::Open {
                rate: self.rate,
                arrivals: Distribution::Exponential,
                max_in_flight: MAX_IN_FLIGHT,
            },
            warmup: WARMUP,
            duration: LONGEST,
            seed: 1,
            detail: Detail::Calls,
        };
        let whole = Duration::from_secs_f64(self.requests as f64 / self.rate * MARGIN);
        let ops = grid.ops.clone();
        let diary = Diary { start: Instant::now() + WARMUP, events: RefCell::default() };
        let stop = Stop::default();
        let act = async {
            sleep_until(diary.start).await;
            let before = ops.scrape().await?;
            sleep(CALM.max(whole / 5)).await;
            let done = script(grid, &diary).await?;
            sleep(CALM).await;
            sleep_until(diary.start + whole).await;
            Ok((before, done))
        };
        let act = async {
            let acted = act.await;
            // Calls that still run say nothing when the script itself has failed.
            if acted.is_ok() {
                stop.enough.cancel()
            } else {
                stop.now.cancel()
            }
            acted
        };
        let timer = Timer::best();
        let (run, acted) = tokio::join!(load::run(&load, &timer, caller, self.inputs, &stop), act);
        let (before, script) = acted?;
        let counted = ops.scrape().await?.since(&before);
        let events = diary.events.into_inner();
        Ok(Observed { calls: run.record.calls, counted, script, events, rate: self.rate })
    }
}

impl<T> Observed<T> {
    /// The numbers of a run in which something was wrong during `fault`.
    pub(crate) fn report(&self, what: &str, fault: Range<Duration>) -> Report {
        let mut report = Report::new(format!("{what}, {} requests/s", self.rate));
        let row = |name, phase: Range<Duration>| Row::of_calls(name, due_in(&self.calls, phase));
        report.rows = vec![
            row("before", Duration::ZERO..fault.start),
            row("during", fault.clone()),
            row("after", fault.end..Duration::MAX),
        ];
        report.failures = reasons(self.calls.iter());
        report.longest_gap_ms = Some(ms(longest_gap(&self.calls)));
        report.recovery_ms = recovery(&self.calls, fault.start).map(ms);
        report.events = self.events.clone();
        report.router = Counted::of(&self.counted);
        report
    }

    pub(crate) fn n_failed(&self) -> usize {
        self.calls.iter().filter(|call| call.failure.is_some()).count()
    }
}

pub(crate) fn due_in(calls: &[Seen], phase: Range<Duration>) -> impl Iterator<Item = &Seen> {
    calls.iter().filter(move |call| phase.contains(&call.due))
}

/// Between one answer and the next.
fn longest_gap(calls: &[Seen]) -> Duration {
    let mut answered: Vec<Duration> =
        calls.iter().filter(|call| call.failure.is_none()).map(|call| call.ended).collect();
    answered.sort();
    let end = calls.iter().map(|call| call.ended).max().unwrap_or_default();
    let next = answered.iter().skip(1).chain([&end]);
    answered.iter().zip(next).map(|(one, next)| next.saturating_sub(*one)).max().unwrap_or(end)
}

/// From the fault to the first of two stretches in a row that are as good as those before it: nothing failed, and the
/// median is at most twice what it was. `None` when there are none.
fn recovery(calls: &[Seen], fault: Duration) -> Option<Duration> {
    let usual = Row::of_calls("", due_in(calls, Duration::ZERO..fault)).p50_ms;
    let end = calls.iter().map(|call| call.due).max()?;
    let n_buckets = u32::try_from((end - fault.min(end)).as_millis() / BUCKET.as_millis()).ok()?;
    let is_well = |idx: u32| {
        let start = fault + BUCKET * idx;
        let row = Row::of_calls("", due_in(calls, start..start + BUCKET));
        row.requests > 0 && row.failed == 0 && row.p50_ms <= 2.0 * usual
    };
    (0..n_buckets.saturating_sub(1)).find(|idx| is_well(*idx) && is_well(idx + 1)).map(|idx| BUCKET * idx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Failure;

    fn call(due_ms: u64, took_ms: u64, fails: bool) -> Seen {
        let due = Duration::from_millis(due_ms);
        let failure =
            fails.then(|| Failure { kind: "UNAVAILABLE".to_owned(), expert: None, reason: String::new() });
        Seen { expert: None, due, ended: due + Duration::from_millis(took_ms), is_timed: !fails, failure }
    }

    /// A call every 10 ms for 4 s, failing from 1 s to 1.6 s, slow until 2 s.
    fn calls() -> Vec<Seen> {
        let took = |due: u64| if (1000..2000).contains(&due) { 50 } else { 2 };
        (0..400).map(|i| i * 10).map(|due| call(due, took(due), (1000..1600).contains(&due))).collect()
    }

    #[test]
    fn a_gap_is_what_lies_between_two_answers() {
        assert_eq!(longest_gap(&calls()), Duration::from_millis(1650 - 992));
        assert_eq!(longest_gap(&[]), Duration::ZERO);
        assert_eq!(longest_gap(&[call(0, 700, true)]), Duration::from_millis(700), "none at all");
    }

    #[test]
    fn a_grid_has_recovered_when_it_is_as_fast_as_before() {
        assert_eq!(recovery(&calls(), Duration::from_secs(1)), Some(Duration::from_secs(1)));
        let never: Vec<Seen> = (0..400).map(|i| call(i * 10, 2, i >= 100)).collect();
        assert_eq!(recovery(&never, Duration::from_secs(1)), None);
        let unharmed: Vec<Seen> = (0..400).map(|i| call(i * 10, 2, false)).collect();
        assert_eq!(recovery(&unharmed, Duration::from_secs(1)), Some(Duration::ZERO));
    }
}
