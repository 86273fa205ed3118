//! The command line: what people and scripts do with a grid, one file per command.
//!
//! A command renders its whole output as text and prints it once, so that `| head` and a closed terminal end it
//! quietly; what a script needs is in `--json` and in the exit code.

mod check;
mod client;
mod down;
mod error;
mod eval;
mod expert;
mod experts;
mod faults;
mod infer;
mod print;
mod request;
mod rollout;
mod route;
mod traffic;
mod up;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{
    error::{Error, Exit},
    up::launch,
};

const EXIT_CODES: &str = "Exit codes:
  0  done; `infer`: every expert asked has answered
  1  an error of the request, of the grid or of this machine; `check`: something is wrong;
     `rollout history --replay`: a decision would be another one now
  2  wrong usage
  3  something is missing: `infer`: an expert gave no answer; `up --detach`: an expert is not ready;
     `eval`: some rows were not answered
  4  no expert suits the request, or none could be chosen
  5  `rollout status EXPERT --watch`: the version was taken back";

/// An inference grid: many nano models, each an expert at one task, behind one router.
#[derive(Parser)]
#[command(name = "nanogrid", version, after_help = EXIT_CODES, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
struct Global {
    /// Where the router answers; `up` starts it there
    #[arg(
        long,
        global = true,
        env = "NANOGRID_ADDR",
        default_value = "127.0.0.1:8001",
        value_name = "HOST:PORT"
    )]
    addr: String,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Start the router and every expert of a catalog on this machine, and keep them running
    Up(up::Up),
    /// Stop the grid that `up` started
    Down(down::Down),
    /// Ask the grid
    Infer(infer::Infer),
    /// Show which experts would be asked, and why, without asking them
    Route(route::Route),
    /// List the experts with their versions and endpoints
    Experts(experts::Experts),
    /// Test an expert on your own data: accuracy with intervals, a table of labels, confusions, speed
    Eval(eval::Eval),
    /// Begin an expert, add a model to one, or print the table of all
    Expert(expert::Expert),
    /// Make calls to an expert slow or fail on purpose, to see that the rest of the grid bears it
    Faults(faults::Faults),
    /// Try a new version of an expert on a growing share of its requests; a worse one is taken back by itself
    Rollout(rollout::Rollout),
    /// Show how the requests of an expert are split among its versions
    Traffic(traffic::Traffic),
    /// Find what is wrong with a grid file and with packages, without a grid
    Check(check::Check),
    #[command(hide = true)]
    Launch(launch::Launch),
}

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    match run(global, command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            print::error(&error);
            Exit::Failed.into()
        }
    }
}

/// On one thread: the processes that `up` starts are told of the death of the thread that started them, so that
/// thread has to live as long as `up` itself.
#[tokio::main(flavor = "current_thread")]
async fn run(global: Global, command: Command) -> Result<Exit, Error> {
    match command {
        Command::Up(up) => up.run(&global).await,
        Command::Down(down) => down.run().await,
        Command::Infer(infer) => infer.run(&global).await,
        Command::Route(route) => route.run(&global).await,
        Command::Experts(experts) => experts.run(&global).await,
        Command::Eval(eval) => eval.run(&global).await,
        Command::Expert(expert) => expert.run(&global).await,
        Command::Faults(faults) => faults.run(&global).await,
        Command::Rollout(rollout) => rollout.run(&global).await,
        Command::Traffic(traffic) => traffic.run(&global).await,
        Command::Check(check) => check.run(&global),
        Command::Launch(launch) => launch.run(),
    }
}
