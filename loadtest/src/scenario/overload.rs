//! Three times as many requests as the grid can answer. What it answers must stay near its best, the important part of it
//! in time, and nothing may pile up.
//!
//! Texts are long, so that the expert is what is short of time, and not the generator beside it on the same machine.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Setup;
use super::capacity::capacity;
use super::grid::{Grid, Layout, Part};
use super::report::{Counted, Report, Row, reasons_of_record};
use crate::Error;
use crate::arrivals::Distribution;
use crate::call::{Api, Ask, Caller, Criticality, Prepared};
use crate::cases::{Case, Input};
use crate::load::{self, Load, Run, Shape, Stop};
use crate::record::{Counts, Detail};
use crate::timer::Timer;

const EXPERT: &str = "sentiment";
const LASTS: Duration = Duration::from_secs(30);
/// Of the run that finds the capacity.
const CAPACITY_OVER: Duration = Duration::from_secs(5);
const TIMES_CAPACITY: f64 = 3.0;
/// Of a text: some milliseconds of work.
const TEXT_BYTES: usize = 1 << 10;
/// Who asks how often: those who may not be shed want three quarters of what there is.
const MIX: [(Criticality, f64); 4] = [
    (Criticality::Sheddable, 0.5),
    (Criticality::SheddablePlus, 0.25),
    (Criticality::Critical, 0.2),
    (Criticality::CriticalPlus, 0.05),
];
const LEAST_GOODPUT: f64 = 0.9;
/// Of memory, from the first third to the last; what allocators keep differs by about as much from run to run.
const MOST_GROWTH: f64 = 1.1;
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn run(setup: &Setup) -> Result<Report, Error> {
    let grid =
        Grid::start(&setup.place, Layout { experts: &[Part::replicas(EXPERT, 1)], fronts: false }).await?;
    let lasts = setup.fault.unwrap_or(LASTS);
    let capacity = capacity(&grid, inputs(setup)?, setup.deadline, CAPACITY_OVER.min(lasts)).await?;
    let before = grid.ops.scrape().await?;
    let done = CancellationToken::new();
    let streams = async {
        let asked = MIX.map(|(criticality, share)| {
            let rate = capacity * TIMES_CAPACITY * share;
            ask(setup, &grid, criticality, rate, lasts)
        });
        let runs = join_all(asked).await.into_iter().collect::<Result<Vec<Run>, Error>>();
        done.cancel();
        runs
    };
    let (runs, memory) = tokio::join!(streams, watch_memory(&grid, &done));
    let runs = runs?;
    let counted = grid.ops.scrape().await?.since(&before);

    let what = format!(
        "1 replica of `{EXPERT}`, {TIMES_CAPACITY} times its {capacity:.0} requests/s for {lasts:?}, \
         deadlines of {:?}",
        setup.deadline
    );
    let mut report = Report::new(what);
    report.router = Counted::of(&counted);
    let named = MIX.iter().zip(&runs);
    report.rows =
        named.map(|((criticality, _), run)| Row::of_record(criticality.as_str(), &run.record)).collect();
    let goodput =
        runs.iter().map(|run| run.record.answers_in_window).sum::<u64>() as f64 / lasts.as_secs_f64();
    report.promise(
        format!("at least {} % of the best throughput is answered", LEAST_GOODPUT * 100.0),
        goodput >= LEAST_GOODPUT * capacity,
        format!("{:.0} % ({goodput:.0} of {capacity:.0} requests/s)", goodput / capacity * 100.0),
    );
    promise_critical(&mut report, &runs[2], setup.deadline);
    promise_order(&mut report, &runs);
    promise_memory(&mut report, &memory);
    report.failures = runs.iter().flat_map(|run| reasons_of_record(&run.record)).collect();
    Ok(report)
}

async fn ask(
    setup: &Setup,
    grid: &Grid,
    criticality: Criticality,
    rate: f64,
    duration: Duration,
) -> Result<Run, Error> {
    let caller = Caller::connect(&grid.address.to_string(), 1, setup.deadline).await?;
    let caller = Arc::new(caller.with_criticality(Some(criticality)));
    let load = Load {
        shape: Shape::Open { rate, arrivals: Distribution::Exponential, max_in_flight: 10_000 },
        warmup: Duration::ZERO,
        duration,
        // Its own, or all of them would come at the same times.
        seed: criticality as u64,
        detail: Detail::Totals,
    };
    Ok(load::run(&load, &Timer::best(), caller, inputs(setup)?, &Stop::default()).await)
}

/// Golden cases one after the other, each text beginning with another one.
fn inputs(setup: &Setup) -> Result<Vec<Prepared>, Error> {
    let cases = setup.cases(EXPERT)?;
    let texts = cases.iter().filter_map(|case| case.input.text());
    let texts: Vec<&str> = texts.filter(|text| text.len() < TEXT_BYTES).collect();
    let long = |start: usize| {
        let mut long = String::new();
        for text in texts.iter().cycle().skip(start) {
            if long.len() + text.len() >= TEXT_BYTES {
                break;
            }
            long.push_str(text);
            long.push(' ');
        }
        Case {
            input: Input::Text(long),
            expert: Some(EXPERT.to_owned()),
            by_name: false,
            expected: Vec::new(),
        }
    };
    Ok((0..texts.len()).map(|start| Prepared::new(long(start), Api::Grid, &Ask::EachItsOwn)).collect())
}

/// Late is what got no answer: the router gives up a little before the deadline, so that a request that was given up looks
/// as if it were in time.
fn promise_critical(report: &mut Report, run: &Run, deadline: Duration) {
    let counts = &run.record.counts;
    let gave_up = counts.missing_by.get("TIMED_OUT").copied().unwrap_or_default();
    let n_late = gave_up + counts.errors.get("DEADLINE_EXCEEDED").copied().unwrap_or_default();
    let n_admitted = counts.answered() + n_late;
    let p99 = Duration::from_micros(run.record.latencies.value_at_quantile(0.99));
    report.promise(
        "99 % of admitted CRITICAL requests are answered inside the deadline",
        counts.answered() > 0 && n_late * 100 <= n_admitted && p99 <= deadline,
        format!("{n_late} of {n_admitted} came too late, p99 {p99:.1?} of {deadline:.1?}"),
    );
}

/// Whoever matters less is shed at least as much.
fn promise_order(report: &mut Report, runs: &[Run]) {
    let shares: Vec<f64> = runs.iter().map(|run| shed(&run.record.counts)).collect();
    // Of a thousand requests a few more or less are chance.
    let is_in_order = shares.windows(2).all(|pair| pair[0] + 0.01 >= pair[1]);
    let percent: Vec<String> = shares.iter().map(|share| format!("{:.1} %", share * 100.0)).collect();
    report.promise(
        "SHEDDABLE is shed first, then SHEDDABLE_PLUS, CRITICAL, CRITICAL_PLUS",
        is_in_order && shares[0] > shares[2] && shares[0] > 0.0,
        percent.join(", "),
    );
}

fn shed(counts: &Counts) -> f64 {
    let refused = counts.errors.get("RESOURCE_EXHAUSTED").copied().unwrap_or_default();
    let shed = counts.missing_by.get("SHED").copied().unwrap_or_default();
    (refused + shed) as f64 / counts.due.max(1) as f64
}

fn promise_memory(report: &mut Report, memory: &[Vec<u64>]) {
    for (idx, name) in ["router", "expert"].into_iter().enumerate() {
        let most = |looks: &[Vec<u64>]| looks.iter().map(|look| look[idx]).max().unwrap_or_default();
        let third = memory.len() / 3;
        let (first, last) = (most(&memory[..third]), most(&memory[memory.len() - third..]));
        let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        report.promise(
            format!("the memory of the {name} stays where it is"),
            first > 0 && last as f64 <= MOST_GROWTH * first as f64,
            format!("{:.1} MiB in the first third, {:.1} MiB in the last", mb(first), mb(last)),
        );
    }
}

async fn watch_memory(grid: &Grid, done: &CancellationToken) -> Vec<Vec<u64>> {
    let mut looks = Vec::new();
    while !done.is_cancelled() {
        looks.push(grid.memory());
        // Either way it is time to look again.
        let _ = done.run_until_cancelled(sleep(LOOK_EVERY)).await;
    }
    looks
}
