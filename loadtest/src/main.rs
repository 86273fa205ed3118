//! `nanogrid-loadtest`: see [`nanogrid_loadtest`].

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use nanogrid_loadtest::call::Caller;
use nanogrid_loadtest::load;
use nanogrid_loadtest::machine::Origin;
use nanogrid_loadtest::options::Options;
use nanogrid_loadtest::report::{Report, Target};
use nanogrid_loadtest::timer::Timer;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let options = Options::parse();
    let report =
        runtime(options.threads).context("no runtime").and_then(|runtime| runtime.block_on(run(&options)));
    match report {
        Ok(report) => {
            for exceeded in &report.exceeded {
                eprintln!("nanogrid-loadtest: {exceeded}");
            }
            ExitCode::from(u8::from(!report.exceeded.is_empty()))
        }
        Err(error) => {
            eprintln!("nanogrid-loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// One thread is the rule: a current-thread runtime takes less processor time from the servers measured beside it.
fn runtime(threads: usize) -> io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

async fn run(options: &Options) -> anyhow::Result<Report> {
    let origin = Origin::here();
    let inputs = options.inputs()?;
    let caller = Arc::new(Caller::connect(&options.addr, options.connections, options.timeout).await?);
    let target = Target {
        addr: options.addr.clone(),
        server: caller.server().await,
        api: options.api,
        ask: options.ask(),
        connections: options.connections,
        threads: options.threads,
    };
    let load = options.load();
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler could be set: Ctrl-C ends the process at once, and the run goes on until then.
            std::future::pending::<()>().await;
        }
    };
    let run = load::run(&load, &Timer::best(), caller, inputs, stop).await;
    let mut report = Report::new(origin, target, &load, run);
    report.exceeded = options.limits.exceeded(&report.counts, report.p99());
    if options.json {
        serde_json::to_writer_pretty(io::stdout().lock(), &report)?;
        println!();
    } else {
        println!("{report}");
    }
    Ok(report)
}
