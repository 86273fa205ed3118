//! `nanogrid down`: ends a grid that `up` started, and returns when it has ended.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    error::{Error, Exit},
    print,
    up::{RUN, run_folder::RunFolder},
};

/// Longer than `up` gives to the router and then to the experts.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Stop the grid that `up` started.
#[derive(Args)]
pub(crate) struct Down {
    /// The folder it runs from
    #[arg(long, default_value = RUN, value_name = "DIR")]
    run: PathBuf,
}

impl Down {
    pub(crate) async fn run(self) -> Result<Exit, Error> {
        let pid = stop(&RunFolder::new(&self.run)).await?;
        print::out(&format!("the grid with pid {pid} has ended\n"));
        Ok(Exit::Done)
    }
}

/// Asks the grid to end and waits for it; gives the pid that it had.
pub(crate) async fn stop(run: &RunFolder) -> Result<u32, Error> {
    let not_up = || Error::NotUp { run: run.path().to_owned() };
    // The lock and not the state file says whether it runs: a pid in a file may be someone else's by now.
    if !run.path().is_dir() || run.try_lock()?.is_some() {
        return Err(not_up());
    }
    let pid = run.state().ok_or_else(not_up)?.pid;
    let target = Pid::from_raw(pid.cast_signed()).ok_or_else(not_up)?;
    kill_process(target, Signal::TERM).map_err(|error| Error::system("signal the grid")(error.into()))?;
    let ended = async {
        while run.try_lock()?.is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(pid)
    };
    let late = |_| Error::WillNotEnd { pid, limit: PATIENCE, run: run.path().to_owned() };
    tokio::time::timeout(PATIENCE, ended).await.map_err(late)?
}
