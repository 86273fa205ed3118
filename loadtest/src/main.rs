//! `nanogrid-loadtest`: see [`nanogrid_loadtest`].

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use nanogrid_loadtest::call::Caller;
use nanogrid_loadtest::load::{self, Stop};
use nanogrid_loadtest::machine::Origin;
use nanogrid_loadtest::options::{CommandLine, Options, ScenarioOptions, Subcommand};
use nanogrid_loadtest::report::{Report, Target};
use nanogrid_loadtest::scenario;
use nanogrid_loadtest::timer::Timer;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let CommandLine { command, run: options } = CommandLine::parse();
    let done = runtime(options.threads).context("no runtime").and_then(|runtime| match &command {
        None => runtime.block_on(run(&options)),
        Some(Subcommand::Scenario(options)) => runtime.block_on(play(options)),
    });
    match done {
        Ok(complaints) => {
            for complaint in &complaints {
                eprintln!("nanogrid-loadtest: {complaint}");
            }
            ExitCode::from(u8::from(!complaints.is_empty()))
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

/// What was exceeded.
async fn run(options: &Options) -> anyhow::Result<Vec<String>> {
    let origin = Origin::here();
    let inputs = options.inputs()?;
    let caller = Caller::connect(&options.addr, options.connections, options.timeout).await?;
    let caller = Arc::new(caller.with_criticality(options.criticality));
    let target = Target {
        addr: options.addr.clone(),
        server: caller.server().await,
        api: options.api,
        ask: options.ask(),
        connections: options.connections,
        threads: options.threads,
    };
    let load = options.load();
    let stop = Stop::default();
    let now = stop.now.clone();
    tokio::spawn(async move {
        // An error: no handler could be set, and Ctrl-C ends the process at once.
        if tokio::signal::ctrl_c().await.is_ok() {
            now.cancel();
        }
    });
    let run = load::run(&load, &Timer::best(), caller, inputs, &stop).await;
    let mut report = Report::new(origin, target, &load, run);
    report.exceeded = options.limits.exceeded(&report.counts, report.p99());
    if options.json {
        print_json(&report)?;
    } else {
        println!("{report}");
    }
    Ok(report.exceeded)
}

/// Which promises were not kept.
async fn play(options: &ScenarioOptions) -> anyhow::Result<Vec<String>> {
    let origin = Origin::here();
    let setup = options.setup(&std::env::current_exe().context("this program is not to be found")?);
    let mut reports = Vec::new();
    for scenario in options.scenarios() {
        let report = tokio::select! {
            report = scenario.run(&setup) => report.with_context(|| format!("{scenario:?}"))?,
            Ok(()) = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        };
        if !options.json {
            println!("{report}");
        }
        reports.push(report);
    }
    let broken = reports.iter().flat_map(scenario::report::Report::broken).collect();
    if options.json {
        print_json(&serde_json::json!({ "origin": origin, "scenarios": reports }))?;
    } else {
        println!("{origin}");
    }
    Ok(broken)
}

fn print_json(report: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(io::stdout().lock(), report)?;
    println!();
    Ok(())
}
