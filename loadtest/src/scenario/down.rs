//! All replicas of an expert are down: first each of them refuses every call, then their processes are gone. Retries must
//! not multiply the load on what is down, and everything comes back by itself.

use std::ops::Range;
use std::time::Duration;

use tokio::time::sleep;

use super::Setup;
use super::front::{Front, Trouble};
use super::grid::{Grid, Layout, Part};
use super::report::{Report, ms};
use super::steady::{Diary, due_in};
use crate::Error;

const EXPERT: &str = "language";
const MOST_ATTEMPTS: f64 = 1.1;
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// One way of being down.
struct Outage {
    name: &'static str,
    phase: Range<Duration>,
    /// Calls that the router sent, as counted where they arrived.
    n_attempts: u64,
}

pub(super) async fn run(setup: &Setup) -> Result<Report, Error> {
    let mut grid =
        Grid::start(&setup.place, Layout { experts: &[Part::replicas(EXPERT, 2)], fronts: true }).await?;
    let load = setup.load(&grid, setup.inputs(EXPERT, &[])?).await?;
    let each = Duration::from_secs_f64(load.requests as f64 / load.rate);
    let observed = load.during(&mut grid, async |grid, diary| script(grid, diary, each).await).await?;
    let (outages, well) = &observed.script;
    let what = format!("2 replicas of `{EXPERT}`, all of them are down");
    let mut report = observed.report(&what, outages[0].phase.start..*well);
    for Outage { name, phase, n_attempts } in outages {
        let n_requests = due_in(&observed.calls, phase.clone()).count();
        let ratio = *n_attempts as f64 / n_requests.max(1) as f64;
        report.promise(
            format!("at most {MOST_ATTEMPTS} attempts for each request while {name}"),
            ratio <= MOST_ATTEMPTS && n_requests > 0,
            format!("{ratio:.3} ({n_attempts} attempts, {n_requests} requests)"),
        );
    }
    let last_failed = observed.calls.iter().filter(|call| call.failure.is_some()).map(|call| call.due).max();
    let back_after = last_failed.unwrap_or_default().saturating_sub(*well);
    report.promise(
        format!("all is well again within {BACK_WITHIN:?} of the processes answering"),
        back_after <= BACK_WITHIN,
        format!("{:.0} ms", ms(back_after)),
    );
    report.recovery_ms = Some(ms(back_after));
    Ok(report)
}

async fn script(grid: &mut Grid, diary: &Diary, each: Duration) -> Result<([Outage; 2], Duration), Error> {
    let start = diary.note("all replicas refuse every call");
    fronts(grid).for_each(|front| front.set(Trouble::Refuses(1)));
    let refusing = outage("they refuse", grid, diary, start, each).await;

    let start = diary.note("kill -9 of all replicas");
    for replica in &mut grid.replicas {
        replica.process.kill().await?;
    }
    fronts(grid).for_each(|front| front.set(Trouble::None));
    let gone = outage("they are gone", grid, diary, start, each).await;

    diary.note("all are started again");
    for replica in &mut grid.replicas {
        replica.process.start_again()?;
    }
    for idx in 0..grid.replicas.len() {
        grid.until_answering(idx).await?;
    }
    let well = diary.note("they answer those who ask them directly");
    for idx in 0..grid.replicas.len() {
        grid.until_in_use(idx).await?;
    }
    diary.note("the router uses all of them again");
    Ok(([refusing, gone], well))
}

async fn outage(name: &'static str, grid: &Grid, diary: &Diary, start: Duration, length: Duration) -> Outage {
    let n_calls = || fronts(grid).map(Front::n_calls).sum::<u64>();
    let before = n_calls();
    sleep(length).await;
    Outage { name, phase: start..diary.now(), n_attempts: n_calls() - before }
}

fn fronts(grid: &Grid) -> impl Iterator<Item = &Front> {
    grid.replicas.iter().filter_map(|replica| replica.front.as_ref())
}
