//! `nanogrid-expert`: serves every package it is given until it is told to stop.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use nanogrid_experts::Host;
use nanogrid_serving::{second_shutdown_signal, shutdown_signal};
use nanogrid_settings::{ExpertSettings, LogFormat, TelemetrySettings};
use nanogrid_telemetry::Options;
use tokio::time::Instant;

/// Serves experts over the Open Inference Protocol.
#[derive(Parser)]
#[command(name = "nanogrid-expert", version)]
struct Arguments {
    /// Package folders: an expert, one version of it, or a Hugging Face export. They replace those in the settings.
    packages: Vec<PathBuf>,
    /// Settings file (TOML); the environment (`NANOGRID__SECTION__KEY`) overrides it, arguments override both.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Address for gRPC; port 0 = any free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Address for metrics and probes; port 0 = any free one.
    #[arg(long)]
    ops: Option<SocketAddr>,
    /// The ONNX Runtime library; found by itself when it was fetched by `make`.
    #[arg(long)]
    onnxruntime: Option<PathBuf>,
}

// One thread moves bytes and tokenises; models have threads of their own. A second one would cost every small call
// more in wake-ups than it gives.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Before anything else: start-up time counts from here. The system needed a millisecond or two to get here.
    let started = Instant::now();
    let settings = settings(Arguments::parse())?;
    let version = env!("CARGO_PKG_VERSION");
    let telemetry = nanogrid_telemetry::init("nanogrid-expert", version, &telemetry(&settings.telemetry))?;
    // Before anything that takes time: the first process of a container is not stopped by a signal it does not handle.
    let (drain, stop) = (shutdown_signal(), second_shutdown_signal());
    let served = tokio::select! {
        served = serve(&settings, started, drain) => served,
        () = stop => bail!("stopped before the drain was over: asked twice"),
    };
    telemetry.shutdown(LAST_SPANS).await;
    served
}

async fn serve(
    settings: &ExpertSettings,
    started: Instant,
    drain: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // Before the ports: without the library there is nothing to wait for.
    nanogrid_onnx::init(settings.inference.onnxruntime.as_deref())?;
    Host::bind(settings, started).await?.serve(drain).await?;
    Ok(())
}

fn settings(arguments: Arguments) -> anyhow::Result<ExpertSettings> {
    let mut settings = ExpertSettings::load(arguments.config.as_deref()).context("settings")?;
    if !arguments.packages.is_empty() {
        settings.packages = arguments.packages;
    }
    if let Some(listen) = arguments.listen {
        settings.server.listen = listen;
    }
    if let Some(ops) = arguments.ops {
        settings.server.ops = ops;
    }
    if arguments.onnxruntime.is_some() {
        settings.inference.onnxruntime = arguments.onnxruntime;
    }
    Ok(settings)
}

fn telemetry(settings: &TelemetrySettings) -> Options {
    Options {
        otlp_endpoint: settings.otlp_endpoint.clone(),
        sample: settings.sample,
        log: settings.log.clone(),
        json: settings.log_format == LogFormat::Json,
    }
}

/// For the spans of the last requests to leave.
const LAST_SPANS: Duration = Duration::from_secs(2);
