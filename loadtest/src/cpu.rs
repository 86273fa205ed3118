//! How busy this process was. A generator that is out of processor time measures itself.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Processor time used by this process over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CpuShare {
    /// Processor seconds per second; 1.0 is one core fully used.
    pub cores: f64,
}

/// Measures from the start of `window` to its end, or until it is `closed`.
pub async fn share_within(window: Range<Instant>, closed: CancellationToken) -> Option<CpuShare> {
    tokio::time::sleep_until(window.start).await;
    let (before, started) = (used()?, Instant::now());
    // Either way, the time is over.
    let _ = closed.run_until_cancelled(tokio::time::sleep_until(window.end)).await;
    let spent = used()?.checked_sub(before)?;
    let seconds = started.elapsed().as_secs_f64();
    (seconds > 0.0).then(|| CpuShare { cores: spent.as_secs_f64() / seconds })
}

/// Processor time of all threads so far, as Linux tells it.
fn used() -> Option<Duration> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    // A thread may end between being listed and being read.
    let nanos = tasks.flatten().filter_map(|task| {
        let schedstat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanos.sum()))
}
