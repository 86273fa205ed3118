//! Clients whose deadlines cannot be met ask beside others. That they get nothing is their own doing: it must not be held
//! against a healthy replica.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Setup;
use super::grid::{Grid, Layout, Part};
use super::report::{Report, Row};
use crate::Error;
use crate::arrivals::Distribution;
use crate::call::Caller;
use crate::load::{self, Load, Shape, Stop};
use crate::record::Detail;
use crate::timer::Timer;

const EXPERT: &str = "language";
const HOPELESS: Duration = Duration::from_millis(1);

pub(super) async fn run(setup: &Setup) -> Result<Report, Error> {
    let mut grid =
        Grid::start(&setup.place, Layout { experts: &[Part::replicas(EXPERT, 2)], fronts: false }).await?;
    let address = grid.address.to_string();
    let ops = grid.ops.clone();
    let load = setup.load(&grid, setup.inputs(EXPERT, &[])?).await?;
    let rate = load.rate;
    let enough = CancellationToken::new();
    let hopeless = async {
        let caller = Arc::new(Caller::connect(&address, 1, HOPELESS).await?);
        let load = Load {
            shape: Shape::Open { rate, arrivals: Distribution::Exponential, max_in_flight: 10_000 },
            warmup: Duration::ZERO,
            duration: Duration::from_secs(600),
            seed: 2,
            detail: Detail::Totals,
        };
        let stop = Stop { enough: enough.clone(), ..Stop::default() };
        Ok(load::run(&load, &Timer::best(), caller, setup.inputs(EXPERT, &[])?, &stop).await)
    };
    let usual = async {
        let observed = load.during(&mut grid, async |_, diary| Ok(diary.now())).await;
        enough.cancel();
        observed
    };
    let (hopeless, usual): (Result<load::Run, Error>, _) = tokio::join!(hopeless, usual);
    let (hopeless, usual) = (hopeless?.record, usual?);
    let counted = ops.scrape().await?;

    let what = format!("2 replicas of `{EXPERT}`, as many clients with deadlines of {HOPELESS:?} beside");
    let mut report = usual.report(&what, Duration::ZERO..Duration::MAX);
    report.rows =
        vec![Row::of_calls("usual deadline", usual.calls.iter()), Row::of_record("hopeless", &hopeless)];
    report.recovery_ms = None;
    let n_late = hopeless.counts.failed();
    let (n_failed, n_calls) = (usual.n_failed(), usual.calls.len());
    report.promise(
        format!("no failed request of the others in at least {}", setup.requests),
        n_failed == 0 && n_calls as u64 >= setup.requests && n_late > 0,
        format!("{n_failed} of {n_calls}, beside {n_late} that came too late"),
    );
    let n_ejections = counted.sum("nanogrid_ejections_total");
    let is_counted = counted.has("nanogrid_attempts_total");
    report.promise(
        "no replica is ejected",
        n_ejections == 0.0 && is_counted,
        if is_counted { format!("{n_ejections} ejections") } else { "the router counts nothing".to_owned() },
    );
    Ok(report)
}
