//! When to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves on SIGTERM (Kubernetes, systemd) or SIGINT (Ctrl-C).
///
/// The handlers are installed by the call itself, so that a signal is not lost before the first poll: call it
/// inside the tokio runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            // Without handlers the system's own apply: the process ends at once, which is a stop as well.
            tracing::warn!("signals cannot be handled here: the process will stop without a drain");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "asked to stop"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "asked to stop"),
        }
    }
}
