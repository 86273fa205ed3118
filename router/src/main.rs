//! `nanogrid-router`: decides which experts see a request, asks them, merges what they answer.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Parser;
use nanogrid_router::RouterServer;
use nanogrid_serving::{second_shutdown_signal, shutdown_signal};
use nanogrid_settings::{LogFormat, RouterSettings, TelemetrySettings};

/// Decides which experts see a request, asks them, merges what they answer.
#[derive(Debug, Parser)]
#[command(name = "nanogrid-router", version)]
struct Arguments {
    /// Settings file (TOML). Flags win over the environment (NANOGRID__SECTION__KEY), which wins over the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The experts, their versions and endpoints.
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
    /// Where to listen for gRPC.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to listen for metrics, probes and control.
    #[arg(long, value_name = "ADDRESS")]
    ops: Option<SocketAddr>,
    /// Package of the classifier.
    #[arg(long, value_name = "FOLDER")]
    classifier: Option<PathBuf>,
    /// The ONNX Runtime library.
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
}

/// How long spans may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also when logs go elsewhere: whoever started the process sees why it ended.
            eprintln!("nanogrid-router: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let settings = settings(arguments)?;
    let telemetry =
        nanogrid_telemetry::init("nanogrid-router", env!("CARGO_PKG_VERSION"), &options(&settings.telemetry))
            .context("telemetry")?;
    // Before anything that takes time: the first process of a container is not stopped by a signal it does not handle.
    let (drain, stop) = (shutdown_signal(), second_shutdown_signal());
    let served = tokio::select! {
        served = serve(&settings, drain) => served,
        () = stop => bail!("stopped before the drain was over: asked twice"),
    };
    telemetry.shutdown(FLUSH).await;
    served
}

async fn serve(settings: &RouterSettings, drain: impl Future<Output = ()>) -> Result<()> {
    RouterServer::bind(settings).await?.serve(drain).await?;
    Ok(())
}

fn settings(arguments: Arguments) -> Result<RouterSettings> {
    let Arguments { config, grid, listen, ops, classifier, onnxruntime } = arguments;
    let mut settings = RouterSettings::load(config.as_deref())?;
    settings.grid_file = grid.unwrap_or(settings.grid_file);
    settings.server.listen = listen.unwrap_or(settings.server.listen);
    settings.server.ops = ops.unwrap_or(settings.server.ops);
    settings.classifier = classifier.or(settings.classifier);
    settings.onnxruntime = onnxruntime.or(settings.onnxruntime);
    Ok(settings)
}

fn options(settings: &TelemetrySettings) -> nanogrid_telemetry::Options {
    nanogrid_telemetry::Options {
        otlp_endpoint: settings.otlp_endpoint.clone(),
        sample: settings.sample,
        log: settings.log.clone(),
        json: settings.log_format == LogFormat::Json,
    }
}
