//! Real signals, sent to this very process: so this is one test, alone in its program.

use std::{future::Future, time::Duration};

use nanogrid_serving::{second_shutdown_signal, shutdown_signal};
use rustix::process::{Signal, getpid, kill_process};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

fn send(signal: Signal) {
    kill_process(getpid(), signal).expect("a process may signal itself");
}

async fn resolves(signal: impl Future<Output = ()>) {
    timeout(PATIENCE, signal).await.expect("the signal arrives");
}

#[tokio::test]
async fn a_signal_stops_and_a_second_one_stops_at_once() {
    for (first, second) in [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM)] {
        let stop = shutdown_signal();
        let mut at_once = Box::pin(second_shutdown_signal());
        // Neither was polled yet.
        send(first);
        resolves(stop).await;
        // Whoever begins to wait now waits for the next one.
        let next = shutdown_signal();
        let early = timeout(Duration::from_millis(20), &mut at_once).await;
        assert!(early.is_err(), "one signal is no hurry");
        send(second);
        resolves(at_once).await;
        resolves(next).await;
    }
}
