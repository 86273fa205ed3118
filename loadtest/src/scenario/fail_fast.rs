//! One of three replicas refuses every call at once. A balancer that looks at speed alone would love it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Setup;
use super::front::Trouble;
use super::grid::{Grid, Layout, Part};
use super::report::{Report, ms};
use super::steady::due_in;
use crate::Error;

const EXPERT: &str = "language";
const FAILS_FOR: Duration = Duration::from_secs(60);
/// So long may it take to notice.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
const MOST_FAILURES: f64 = 0.001;
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// Of three replicas each has a third; from this on one is in use again.
const FAIR_ENOUGH: f64 = 0.2;
const SHARE_OVER: Duration = Duration::from_secs(1);

pub(super) async fn run(setup: &Setup) -> Result<Report, Error> {
    let mut grid =
        Grid::start(&setup.place, Layout { experts: &[Part::replicas(EXPERT, 3)], fronts: true }).await?;
    let fails_for = setup.fault.unwrap_or(FAILS_FOR);
    let load = setup.load(&grid, setup.inputs(EXPERT, &[])?).await?;
    let observed = load
        .during(&mut grid, async |grid, diary| {
            let before = n_calls(grid);
            let start = diary.note("one replica refuses every call");
            set(grid, Trouble::Refuses(1));
            sleep(fails_for).await;
            let end = diary.note("it is well again");
            set(grid, Trouble::None);
            let asked_meanwhile = share(before, n_calls(grid));
            let back_after = until_in_use(grid).await;
            if let Some(back_after) = back_after {
                diary.note(format!("it has had its share of the requests {back_after:.1?} after that"));
            }
            Ok((start..end, asked_meanwhile, back_after))
        })
        .await?;
    let (fault, asked_meanwhile, back_after) = observed.script.clone();
    let what = format!("3 replicas of `{EXPERT}`, one fails fast for {fails_for:?}");
    let mut report = observed.report(&what, fault.clone());

    let later = || due_in(&observed.calls, fault.start + NOTICED_WITHIN..Duration::MAX);
    let n_failed = later().filter(|call| call.failure.is_some()).count();
    let share_failed = n_failed as f64 / later().count().max(1) as f64;
    report.promise(
        format!("under {} % of requests fail after the first second", MOST_FAILURES * 100.0),
        share_failed < MOST_FAILURES,
        format!("{:.3} % ({n_failed} of {})", share_failed * 100.0, later().count()),
    );
    report.promise(
        format!("it takes requests again within {BACK_WITHIN:?} of healing"),
        back_after.is_some_and(|after| after <= BACK_WITHIN),
        back_after.map_or("not at all".to_owned(), |after| format!("{:.0} ms", ms(after))),
    );
    report.number("percent of calls that the failing replica got", asked_meanwhile * 100.0);
    Ok(report)
}

fn set(grid: &Grid, trouble: Trouble) {
    if let Some(front) = &grid.replicas[0].front {
        front.set(trouble);
    }
}

/// Until it has its share of the calls, as counted where they arrive; `None` when that takes far too long.
async fn until_in_use(grid: &Grid) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < 2 * BACK_WITHIN {
        let before = n_calls(grid);
        sleep(SHARE_OVER).await;
        if share(before, n_calls(grid)) >= FAIR_ENOUGH {
            return Some(start.elapsed());
        }
    }
    None
}

/// Calls to the first replica, and to all.
fn n_calls(grid: &Grid) -> (u64, u64) {
    let calls =
        || grid.replicas.iter().filter_map(|replica| replica.front.as_ref()).map(|front| front.n_calls());
    (calls().next().unwrap_or_default(), calls().sum())
}

fn share(before: (u64, u64), after: (u64, u64)) -> f64 {
    (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64
}
