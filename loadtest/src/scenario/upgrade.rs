//! An expert is upgraded under load: a process of the new version gets the traffic, the old one drains and ends. Nobody
//! loses an answer, and those who ask another expert do not notice.

use std::time::Duration;

use tokio::time::sleep;

use super::Setup;
use super::grid::{Grid, Layout, Part};
use super::report::{Report, Row};
use super::steady::due_in;
use crate::Error;

const EXPERT: &str = "spam";
const OLD: u32 = 1;
const NEW: u32 = 2;
/// Asked beside, and not touched.
const OTHER: &str = "language";
/// Fewer would not show much.
const LEAST_REQUESTS: u64 = 10_000;
/// Both versions stay for so long with all the traffic on the new one.
const BOTH: Duration = Duration::from_secs(2);
/// The median of the expert that is not touched: what moves less is the machine.
const UNMOVED: f64 = 1.5;

pub(super) async fn run(setup: &Setup) -> Result<Report, Error> {
    let experts = [Part::replicas(OTHER, 1), Part::version(EXPERT, OLD)];
    let mut grid = Grid::start(&setup.place, Layout { experts: &experts, fronts: false }).await?;
    let mut inputs = setup.unchecked_inputs(EXPERT)?;
    inputs.extend(setup.inputs(OTHER, &[])?);
    let mut load = setup.load(&grid, inputs).await?;
    load.requests = load.requests.max(LEAST_REQUESTS);
    let observed = load
        .during(&mut grid, async |grid, diary| {
            let begun = diary.note(format!("a process of `{EXPERT}` version {NEW} is started"));
            let new = grid.add(Part::version(EXPERT, NEW)).await?;
            diary.note("it gets all the traffic");
            grid.set_weights(EXPERT, &[(OLD, 0), (NEW, 100)])?;
            sleep(BOTH).await;
            diary.note(format!("version {OLD} leaves the grid file, and its process gets SIGTERM"));
            grid.set_weights(EXPERT, &[(NEW, 100)])?;
            grid.replicas[1].process.stop().await?;
            let over = diary.note("it has drained and ended");
            let answered = grid.replicas[new].ops.scrape().await?.sum("nv_inference_request_success");
            Ok((begun..over, answered))
        })
        .await?;
    let (upgrade, n_answered) = observed.script.clone();
    let what = format!("`{EXPERT}` goes from version {OLD} to {NEW}, as many requests to `{OTHER}` beside");
    let mut report = observed.report(&what, upgrade.clone());

    let (n_calls, n_failed) = (observed.calls.len(), observed.n_failed());
    report.promise(
        format!("no failed request in at least {LEAST_REQUESTS}"),
        n_failed == 0 && n_calls as u64 >= LEAST_REQUESTS,
        format!("{n_failed} of {n_calls}"),
    );
    report.promise(
        format!("version {NEW} answers"),
        n_answered > 0.0,
        format!("{n_answered} requests before the old process had ended"),
    );
    let of_other = |name: &str, phase| {
        let calls = due_in(&observed.calls, phase);
        Row::of_calls(name, calls.filter(|call| call.expert.as_deref() == Some(OTHER)))
    };
    let before = of_other(&format!("{OTHER} before"), Duration::ZERO..upgrade.start);
    let during = of_other(&format!("{OTHER} during"), upgrade);
    let moved = during.p50_ms / before.p50_ms;
    report.promise(
        format!("the median of `{OTHER}` moves by less than a factor of {UNMOVED}"),
        moved < UNMOVED,
        format!("{moved:.2}, from {:.2} to {:.2} ms", before.p50_ms, during.p50_ms),
    );
    report.rows.extend([before, during]);
    Ok(report)
}
