//! The only replica of an expert is killed: requests to two experts lose its part and nothing else, and have it again as
//! soon as there is somebody to give it.

use std::time::Duration;

use tokio::time::sleep;

use super::Setup;
use super::grid::{Grid, Layout, Part};
use super::report::{Report, ms};
use crate::Error;
use crate::record::Seen;

const VICTIM: &str = "sentiment";
const OTHER: &str = "language";
const GONE: Duration = Duration::from_secs(2);
/// From when the process answers by itself until requests have its part again.
const BACK_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(setup: &Setup) -> Result<Report, Error> {
    let layout = Layout { experts: &[Part::replicas(OTHER, 1), Part::replicas(VICTIM, 1)], fronts: false };
    let mut grid = Grid::start(&setup.place, layout).await?;
    // Two calls for each request.
    let setup = &Setup { rate: setup.rate / 2.0, ..setup.clone() };
    let load = setup.load(&grid, setup.inputs(OTHER, &[VICTIM])?).await?;
    let observed = load
        .during(&mut grid, async |grid, diary| {
            let killed = diary.note(format!("kill -9 of `{VICTIM}`"));
            grid.replicas[1].process.kill().await?;
            sleep(GONE).await;
            diary.note("it is started again");
            grid.replicas[1].process.start_again()?;
            grid.until_answering(1).await?;
            Ok(killed..diary.note("it answers those who ask it directly"))
        })
        .await?;
    let away = observed.script.clone();
    let what =
        format!("1 replica of `{OTHER}` and of `{VICTIM}`, each request asks both, `{VICTIM}` is killed");
    let mut report = observed.report(&what, away.clone());

    let calls = &observed.calls;
    let is_missing_part =
        |call: &Seen| call.failure.as_ref().is_none_or(|failure| failure.expert.as_deref() == Some(VICTIM));
    let (n_missing, n_worse) =
        (observed.n_failed(), calls.iter().filter(|call| !is_missing_part(call)).count());
    let is_enough = calls.len() as u64 >= setup.requests;
    report.promise(
        format!("only the part of `{VICTIM}` is missing, in at least {} requests", setup.requests),
        n_worse == 0 && n_missing > 0 && is_enough,
        format!("{n_missing} without it, {n_worse} failed otherwise, of {}", calls.len()),
    );
    let last_missing = calls.iter().filter(|call| call.failure.is_some()).map(|call| call.due).max();
    let back_after = last_missing.unwrap_or_default().saturating_sub(away.end);
    report.promise(
        format!("it is back within {BACK_WITHIN:?} of the process answering again"),
        back_after <= BACK_WITHIN,
        format!("{:.0} ms", ms(back_after)),
    );
    Ok(report)
}
