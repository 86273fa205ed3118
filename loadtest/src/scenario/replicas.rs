//! Two replicas of an expert, and one of them goes: clients must not notice.

use std::ops::Range;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::Setup;
use super::grid::{Grid, Layout, Part};
use super::report::Report;
use super::steady::Diary;
use crate::Error;

const EXPERT: &str = "language";
/// A process that died stays away this long: longer than breakers and budgets need to notice.
const GONE: Duration = Duration::from_secs(2);
/// A process that is paused, unless told otherwise.
const PAUSED: Duration = Duration::from_secs(5);
/// From when a replica is in use again until its own counter is read.
const IN_USE: Duration = Duration::from_secs(2);

/// What happens to the replicas.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blow {
    Kill,
    Pause,
    Restart,
    Rolling,
}

pub(super) async fn run(blow: Blow, setup: &Setup) -> Result<Report, Error> {
    let mut grid =
        Grid::start(&setup.place, Layout { experts: &[Part::replicas(EXPERT, 2)], fronts: false }).await?;
    let load = setup.load(&grid, setup.inputs(EXPERT, &[])?).await?;
    let observed = load.during(&mut grid, async |grid, diary| script(blow, setup, grid, diary).await).await?;
    let what = format!("2 replicas of `{EXPERT}`, {}", blow.what());
    let mut report = observed.report(&what, observed.script.fault.clone());
    let (n_calls, n_failed) = (observed.calls.len(), observed.n_failed());
    report.promise(
        format!("no failed request in at least {}", setup.requests),
        n_failed == 0 && n_calls as u64 >= setup.requests,
        format!("{n_failed} of {n_calls}"),
    );
    let n_answered = observed.script.n_answered;
    report.promise("it takes requests again", n_answered > 0.0, format!("{n_answered} within {IN_USE:?}"));
    Ok(report)
}

struct Acted {
    fault: Range<Duration>,
    /// By the replica that was away last, since it is back.
    n_answered: f64,
}

async fn script(blow: Blow, setup: &Setup, grid: &mut Grid, diary: &Diary) -> Result<Acted, Error> {
    let start = diary.now();
    let mut last = 0;
    match blow {
        Blow::Kill => kill(grid, diary).await?,
        Blow::Pause => pause(grid, diary, setup.fault.unwrap_or(PAUSED)).await?,
        Blow::Restart => restart(grid, diary, 0).await?,
        Blow::Rolling => {
            restart(grid, diary, 0).await?;
            restart(grid, diary, 1).await?;
            last = 1;
        }
    }
    let fault = start..diary.now();
    let ops = grid.replicas[last].ops.clone();
    let before = ops.scrape().await?;
    sleep(IN_USE).await;
    let answered = ops.scrape().await?.since(&before);
    Ok(Acted { fault, n_answered: answered.sum("nv_inference_request_success") })
}

impl Blow {
    fn what(self) -> &'static str {
        match self {
            Self::Kill => "one is killed (SIGKILL)",
            Self::Pause => "one is paused (SIGSTOP)",
            Self::Restart => "one is restarted (SIGTERM)",
            Self::Rolling => "both are restarted in turn (SIGTERM)",
        }
    }
}

async fn kill(grid: &mut Grid, diary: &Diary) -> Result<(), Error> {
    diary.note("kill -9 of one replica");
    grid.replicas[0].process.kill().await?;
    sleep(GONE).await;
    diary.note("it is started again");
    grid.replicas[0].process.start_again()?;
    back(grid, diary, 0).await
}

async fn pause(grid: &mut Grid, diary: &Diary, length: Duration) -> Result<(), Error> {
    diary.note("SIGSTOP to one replica");
    grid.replicas[0].process.signal(Signal::STOP)?;
    sleep(length).await;
    diary.note("SIGCONT");
    grid.replicas[0].process.signal(Signal::CONT)?;
    back(grid, diary, 0).await
}

async fn restart(grid: &mut Grid, diary: &Diary, idx: usize) -> Result<(), Error> {
    diary.note(format!("SIGTERM to replica {}", idx + 1));
    grid.replicas[idx].process.stop().await?;
    diary.note("it has ended, and is started again");
    grid.replicas[idx].process.start_again()?;
    back(grid, diary, idx).await
}

async fn back(grid: &mut Grid, diary: &Diary, idx: usize) -> Result<(), Error> {
    grid.until_in_use(idx).await?;
    diary.note("the router uses it again");
    Ok(())
}
