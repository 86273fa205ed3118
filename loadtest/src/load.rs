//! Makes the load: a closed loop, where a fixed number of callers each wait for an answer before they ask again, or an
//! open loop, where calls start on schedule whatever the answers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::arrivals::{Arrivals, Distribution};
use crate::call::{Caller, Prepared};
use crate::cpu::{self, CpuShare};
use crate::record::{Detail, Record, Recorder};
use crate::timer::Timer;

/// Which loop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "loop")]
pub enum Shape {
    /// This many callers, each with one call in flight.
    Closed {
        /// At least 1.
        concurrency: usize,
    },
    /// Calls start at times fixed in advance.
    Open {
        /// Calls a second.
        rate: f64,
        /// How the gaps are spread.
        arrivals: Distribution,
        /// A call that is due while this many are open is not sent, and counts as failed.
        max_in_flight: usize,
    },
}

/// How much load, for how long.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// Which loop.
    #[serde(flatten)]
    pub shape: Shape,
    /// Load before the measured window.
    pub warmup: Duration,
    /// The measured window.
    pub duration: Duration,
    /// Fixes the order of the inputs and the times of exponential arrivals.
    pub seed: u64,
    /// What is kept beside the totals.
    pub detail: Detail,
}

/// Ends a run before its time.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// At once: calls in flight are given up.
    pub now: CancellationToken,
    /// In order: no further call is started, and those in flight are waited for.
    pub enough: CancellationToken,
}

/// What a run saw, and what it cost this process.
#[derive(Debug)]
pub struct Run {
    /// What it saw.
    pub record: Record,
    /// The measured window as it was: shorter than asked for when interrupted.
    pub measured: Duration,
    /// Processor time of this process in the window; `None` where the system does not tell.
    pub cpu: Option<CpuShare>,
    /// Stopped at once before the time was over.
    pub interrupted: bool,
}

/// Sends `inputs`, at least one, in a shuffled order over and over, until the time is over or `stop` says so.
pub async fn run(load: &Load, timer: &Timer, caller: Arc<Caller>, inputs: Vec<Prepared>, stop: &Stop) -> Run {
    let start = Instant::now();
    let window = start + load.warmup..start + load.warmup + load.duration;
    let recorder = Arc::new(Recorder::new(window.clone(), load.detail));
    let sender = Arc::new(Sender::new(caller, inputs, load.seed, Arc::clone(&recorder)));
    // Dropping it cancels the calls in flight.
    let mut calls = JoinSet::new();
    let metered = tokio::spawn(cpu::share_within(window.clone(), stop.enough.clone()));

    let offer = async {
        match load.shape {
            Shape::Closed { concurrency } => closed(concurrency, &sender, &mut calls),
            Shape::Open { rate, arrivals, max_in_flight } => {
                let due = Arrivals::new(rate, arrivals, load.seed).map(|time| start + time);
                open(due, max_in_flight, timer, &sender, &mut calls).await;
            }
        }
        while calls.join_next().await.is_some() {}
    };
    let close = async {
        stop.enough.cancelled().await;
        recorder.close();
        std::future::pending::<()>().await;
    };
    let interrupted = tokio::select! {
        () = offer => false,
        () = close => unreachable!("it waits for ever"),
        () = stop.now.cancelled() => true,
    };
    let end = Instant::now().min(recorder.window().end);
    let cpu = if interrupted {
        metered.abort();
        None
    } else {
        metered.await.ok().flatten()
    };
    Run { record: recorder.finish(), measured: end.saturating_duration_since(window.start), cpu, interrupted }
}

fn closed(concurrency: usize, sender: &Arc<Sender>, calls: &mut JoinSet<()>) {
    for _ in 0..concurrency {
        let sender = Arc::clone(sender);
        calls.spawn(async move {
            while Instant::now() < sender.recorder.window().end {
                sender.send(Instant::now()).await;
            }
        });
    }
}

async fn open(
    due: impl Iterator<Item = Instant>,
    max_in_flight: usize,
    timer: &Timer,
    sender: &Arc<Sender>,
    calls: &mut JoinSet<()>,
) {
    for due in due.take_while(|due| *due < sender.recorder.window().end) {
        timer.until(due).await;
        while calls.try_join_next().is_some() {}
        if calls.len() < max_in_flight {
            let sender = Arc::clone(sender);
            calls.spawn(async move { sender.send(due).await });
        } else {
            sender.recorder.not_sent(due);
        }
    }
}

struct Sender {
    caller: Arc<Caller>,
    inputs: Vec<Prepared>,
    next: AtomicUsize,
    recorder: Arc<Recorder>,
}

impl Sender {
    fn new(caller: Arc<Caller>, mut inputs: Vec<Prepared>, seed: u64, recorder: Arc<Recorder>) -> Self {
        // Files hold one expert after the other: in their order, each expert would get the whole load in turn.
        inputs.shuffle(&mut StdRng::seed_from_u64(seed));
        Self { caller, inputs, next: AtomicUsize::new(0), recorder }
    }

    async fn send(&self, due: Instant) {
        let idx = self.next.fetch_add(1, Ordering::Relaxed) % self.inputs.len();
        let input = &self.inputs[idx];
        let sent = self.recorder.sent(due);
        let verdict = self.caller.call(input).await;
        self.recorder.ended(sent, &verdict, input.case());
    }
}

#[cfg(test)]
mod tests;
