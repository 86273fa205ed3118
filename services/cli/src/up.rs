//! `nanogrid up`: a whole grid on this machine. Starts the router and every expert of a catalog, each as its own process
//! or all experts in one, keeps them running, shows them, and ends them in the order that loses no answer.

mod board;
mod catalog;
mod detach;
mod display;
pub(crate) mod environment;
pub(crate) mod launch;
mod memory;
pub(crate) mod plan;
mod ports;
pub(crate) mod probe;
mod process;
pub(crate) mod run_folder;
mod settle;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use futures::future::join_all;
use nanogrid_resilience::Backoff;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) use self::catalog::folders;
use self::{
    board::{Board, Level, State},
    display::Mode,
    plan::Plan,
    process::{Spec, Supervisor},
    run_folder::RunFolder,
};
use crate::{
    Global,
    error::{Error, Exit},
};

/// Where the packages are, and where a grid keeps its files, unless told otherwise.
pub(crate) const CATALOG: &str = "experts/catalog";
pub(crate) const CLASSIFIER: &str = "router/model/4";
pub(crate) const RUN: &str = ".nanogrid/run";

/// Between the death of a process and its next start: short at first, because most deaths are accidents.
const RESTART: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Start the router and every expert of a catalog on this machine.
#[derive(Args)]
pub(crate) struct Up {
    /// The experts: a folder with one folder for each
    #[arg(long, default_value = CATALOG, value_name = "DIR")]
    catalog: PathBuf,
    /// The package of the router's own model
    #[arg(long, default_value = CLASSIFIER, value_name = "DIR")]
    classifier: PathBuf,
    /// Where the router's metrics and probes answer
    #[arg(long, default_value = "127.0.0.1:8002", value_name = "HOST:PORT")]
    ops: SocketAddr,
    /// Serve all experts from one process
    #[arg(long)]
    one_process: bool,
    /// Return once the grid answers, and leave it running; `nanogrid down` stops it
    #[arg(long)]
    detach: bool,
    /// Keeps the grid file, the logs and the state
    #[arg(long, default_value = RUN, value_name = "DIR")]
    run: PathBuf,
    /// Settings for the router
    #[arg(long, value_name = "FILE")]
    router_config: Option<PathBuf>,
    /// Settings for every expert process
    #[arg(long, value_name = "FILE")]
    expert_config: Option<PathBuf>,
    /// The part of `--detach` that stays
    #[arg(long, hide = true)]
    in_background: bool,
}

impl Up {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        if self.detach {
            return detach::run(&self, global).await;
        }
        if self.in_background {
            rustix::process::setsid().map_err(|error| Error::system("leave the terminal")(error.into()))?;
        }
        let run = RunFolder::new(&self.run);
        let lock = run.take()?;
        let plan = Plan::make(&self, &global.addr, &run)?;
        let exit = supervise(plan, &run, Mode::choose(global.json)).await;
        drop(lock);
        exit
    }
}

async fn supervise(plan: Plan, run: &RunFolder, mode: Mode) -> Result<Exit, Error> {
    let Plan { state, specs, problems } = plan;
    run.write_state(&state)?;
    let (board, notices) = Board::new(state);
    for problem in problems {
        board.say(Level::Warn, problem);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let supervisor = Supervisor {
        launcher: std::env::current_exe().map_err(Error::system("find this program"))?,
        turns: Arc::new(Semaphore::new(cores)),
        backoff: Backoff::new(RESTART.0, RESTART.1),
        kill: CancellationToken::new(),
        board: board.clone(),
    };
    let show = tokio::spawn(display::show(mode, board.watch(), notices));
    tokio::select! {
        () = keep_running(&supervisor, specs) => {}
        error = keep_state(run, &board) => return Err(error),
        () = settle::run(&board) => {}
    }
    drop((supervisor, board));
    // What was said last is still to be shown.
    let _ = show.await;
    Ok(Exit::Done)
}

/// Until Ctrl-C or SIGTERM, then ends everything: the router first, so that nothing new reaches an expert that ends.
async fn keep_running(supervisor: &Supervisor, specs: Vec<Spec>) {
    let (stop_router, stop_experts) = (CancellationToken::new(), CancellationToken::new());
    let mut running = specs.into_iter().enumerate().map(|(index, spec)| {
        let stop = if index == 0 { &stop_router } else { &stop_experts };
        supervisor.keep_running(index, spec, stop.clone())
    });
    let router = running.next().expect("the plan begins with the router");
    let router = async {
        router.await;
        stop_experts.cancel();
    };
    let signals = async {
        nanogrid_serving::shutdown_signal().await;
        supervisor.board.say(Level::Info, "stopping; once more to stop at once".to_owned());
        stop_router.cancel();
        nanogrid_serving::shutdown_signal().await;
        supervisor.kill.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = futures::future::join(router, join_all(running)) => {}
        () = signals => {}
    }
}

/// Writes the state file at every change; returns when that is not possible.
async fn keep_state(run: &RunFolder, board: &Board) -> Error {
    let mut changes = board.watch();
    loop {
        let state: State = changes.borrow_and_update().clone();
        if let Err(error) = run.write_state(&state) {
            return error;
        }
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
