//! How much a grid can answer, on this machine and beside whatever else runs there.

use std::sync::Arc;
use std::time::Duration;

use super::grid::Grid;
use crate::Error;
use crate::call::{Caller, Prepared};
use crate::load::{self, Load, Shape, Stop};
use crate::record::Detail;
use crate::timer::Timer;

/// Enough to keep every batch full, too few to be refused.
const CALLERS: usize = 8;
const WARMUP: Duration = Duration::from_secs(1);

/// The most answers a second, as a few callers get them who wait for one before they ask again; at least 1.
pub(super) async fn capacity(
    grid: &Grid,
    inputs: Vec<Prepared>,
    deadline: Duration,
    over: Duration,
) -> Result<f64, Error> {
    let caller = Caller::connect(&grid.address.to_string(), 1, deadline).await?;
    let load = Load {
        shape: Shape::Closed { concurrency: CALLERS },
        warmup: WARMUP,
        duration: over,
        seed: 1,
        detail: Detail::Totals,
    };
    let run = load::run(&load, &Timer::best(), Arc::new(caller), inputs, &Stop::default()).await;
    // Without any there is no run to be made of it, and the promises will tell.
    Ok((run.record.answers_in_window as f64 / run.measured.as_secs_f64()).max(1.0))
}
