//! When to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves on SIGTERM (Kubernetes, systemd) or SIGINT (Ctrl-C).
///
/// The handlers are installed by the call itself, so that a signal is not lost before the first poll: call it
/// inside the tokio runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let signals = Signals::install();
    async {
        let (_, signal) = next(signals).await;
        tracing::info!(signal, "asked to stop");
    }
}

/// Resolves on the second of these signals: whoever asks twice does not want to wait for a drain.
pub fn second_shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let signals = Signals::install();
    async {
        let (signals, _) = next(signals).await;
        let (_, signal) = next(Ok(signals)).await;
        tracing::warn!(signal, "asked to stop once more: at once");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// Waits for one of them, and says which.
async fn next(signals: io::Result<Signals>) -> (Signals, &'static str) {
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            // Without handlers the system's own apply: the process ends at once, which is a stop as well.
            tracing::warn!(%error, "signals cannot be handled here: the process will stop without a drain");
            return std::future::pending().await;
        }
    };
    let name = tokio::select! {
        _ = signals.terminate.recv() => "SIGTERM",
        _ = signals.interrupt.recv() => "SIGINT",
    };
    (signals, name)
}
