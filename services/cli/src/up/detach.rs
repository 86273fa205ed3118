//! `nanogrid up --detach`: starts the grid in the background, waits until it answers, says where it is, and returns.

use std::{collections::HashMap, fs::File, pin::pin, process::Stdio, time::Duration};

use tokio::process::{Child, Command};

use crate::{
    Global,
    error::{Error, Exit},
    print,
    up::{
        Up,
        board::{ProcessState, State},
        display,
        run_folder::{self, RunFolder},
    },
};

const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) async fn run(up: &Up, global: &Global) -> Result<Exit, Error> {
    let run = RunFolder::new(&up.run);
    // Says who is in the way before anything is started. The background process takes the lock for itself.
    drop(run.take()?);
    let child = start(up, global, &run)?;
    let state = settled(child, &run).await?;
    if global.json {
        print::json(&serde_json::to_value(&state).expect("plain data, keys are strings"));
    } else {
        print::out(&display::table(&state, &HashMap::new()));
    }
    let failing: Vec<&ProcessState> = state.processes.iter().filter(|process| !process.is_ready()).collect();
    match failing.as_slice() {
        [] => Ok(Exit::Done),
        // Without a router there is no grid to leave running.
        [process, ..] if process.name == "router" && process.address == state.addr => {
            crate::down::stop(&run).await?;
            Err(Error::NotReady { reason: reason(process) })
        }
        _ => {
            for process in failing {
                print::warning(&format!("{} is not ready: {}", process.name, reason(process)));
            }
            Ok(Exit::Partial)
        }
    }
}

fn start(up: &Up, global: &Global, run: &RunFolder) -> Result<Child, Error> {
    let log = run.log("up");
    let out = File::create(&log).map_err(Error::file("cannot write", &log))?;
    let err = out.try_clone().map_err(Error::file("cannot write", &log))?;
    let this = std::env::current_exe().map_err(Error::system("find this program"))?;
    let mut command = Command::new(&this);
    command.args(["up", "--in-background", "--addr", &global.addr, "--ops", &up.ops.to_string()]);
    command
        .arg("--catalog")
        .arg(&up.catalog)
        .arg("--classifier")
        .arg(&up.classifier)
        .arg("--run")
        .arg(&up.run);
    if up.one_process {
        command.arg("--one-process");
    }
    for (flag, config) in [("--router-config", &up.router_config), ("--expert-config", &up.expert_config)] {
        if let Some(config) = config {
            command.arg(flag).arg(config);
        }
    }
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    command.spawn().map_err(Error::file("cannot start", this))
}

/// Waits until every process of the grid has had its chance to start. Ctrl-C stops the grid as well.
async fn settled(mut child: Child, run: &RunFolder) -> Result<State, Error> {
    let mut stop = pin!(nanogrid_serving::shutdown_signal());
    loop {
        tokio::select! {
            _ = child.wait() => return Err(ended(run)),
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = &mut stop => {
                crate::down::stop(run).await?;
                return Err(ended(run));
            }
        }
        if let Some(state) = run.state().filter(|state| state.settled) {
            return Ok(state);
        }
    }
}

fn ended(run: &RunFolder) -> Error {
    let log = run.log("up");
    Error::EndedEarly { tail: run_folder::tail(&log).unwrap_or_default().trim_end().to_owned(), log }
}

fn reason(process: &ProcessState) -> String {
    let refused: Vec<String> = process
        .serves
        .iter()
        .filter_map(|served| served.refused.as_ref().map(|reason| format!("{}: {reason}", served.name)))
        .collect();
    if !refused.is_empty() {
        return refused.join("; ");
    }
    let end = process.last_end.as_deref().unwrap_or("it does not become ready");
    let said = run_folder::last_line(&process.log).map(|line| format!(": {line}")).unwrap_or_default();
    format!("{end}{said} (log: {})", process.log.display())
}
