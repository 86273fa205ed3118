//! One process of the grid: started, watched, started again when it dies, and ended in order.

use std::{
    fs::File,
    io::Write,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nanogrid_resilience::Backoff;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    print,
    up::{
        board::{Board, Level, Phase},
        environment::{self, Kind},
        probe::{Probe, Target},
        run_folder,
    },
};

/// A process that has run this long was well: what ends it now has nothing to do with what ended it before.
const RAN_WELL: Duration = Duration::from_secs(10);

/// A start that takes longer lets the next one begin beside it.
const START_TURN: Duration = Duration::from_secs(5);

/// Longer than the hard stop that the processes are given: only a process that ignores it is killed.
const PATIENCE: Duration = Duration::from_secs(12);

/// What to run.
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Settings beside the arguments, in place of those that `up` was started with.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
    pub(crate) targets: Vec<Target>,
}

/// Runs processes; shared by all of them.
pub(crate) struct Supervisor {
    pub(crate) board: Board,
    /// This very program: see [`crate::up::launch`].
    pub(crate) launcher: PathBuf,
    /// As many as there are cores start at the same time. All are ready as early as if they had started at once, and
    /// the measured start of each is its own.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) backoff: Backoff,
    /// Ends patience: whatever still runs is killed.
    pub(crate) kill: CancellationToken,
}

impl Supervisor {
    /// Keeps process number `index` of the board running until `stop`; returns when it has ended.
    pub(crate) async fn keep_running(&self, index: usize, spec: Spec, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let turn = tokio::select! {
                turn = self.turns.clone().acquire_owned() => turn.expect("never closed"),
                () = stop.cancelled() => break,
            };
            let started = Instant::now();
            let Some(end) = self.run_once(index, &spec, &stop, turn).await else { break };
            if started.elapsed() > RAN_WELL {
                failures = 0;
            }
            let delay = self.backoff.delay(failures);
            failures += 1;
            self.report(index, &spec, &end, delay);
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => break,
            }
            self.board.process(index, |process| process.restarts += 1);
        }
        self.board.process(index, |process| (process.phase, process.pid) = (Phase::Stopped, None));
    }

    /// How the process ended by itself; `None` when it was stopped.
    async fn run_once(
        &self,
        index: usize,
        spec: &Spec,
        stop: &CancellationToken,
        turn: OwnedSemaphorePermit,
    ) -> Option<String> {
        let started = Instant::now();
        let mut child = match self.start(spec) {
            Ok(child) => child,
            Err(error) => return Some(error.to_string()),
        };
        self.board.process(index, |process| {
            (process.phase, process.pid) = (Phase::Running, child.id());
        });
        let is_up = CancellationToken::new();
        let probe = Probe { index, spec, board: &self.board, started, is_up: &is_up };
        let give_turn = async {
            let _ = tokio::time::timeout(START_TURN, is_up.cancelled()).await;
            drop(turn);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = child.wait() => Some(end.map_or_else(|error| error.to_string(), describe)),
            () = probe.follow() => None,
            () = give_turn => None,
            () = stop.cancelled() => {
                self.board.process(index, |process| process.phase = Phase::Stopping);
                self.end(&mut child).await;
                None
            }
        }
    }

    fn start(&self, spec: &Spec) -> Result<Child, Error> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&spec.log)
            .map_err(Error::file("cannot open", &spec.log))?;
        let stderr = log.try_clone().map_err(Error::file("cannot open", &spec.log))?;
        let mut command = Command::new(&self.launcher);
        for foreign in spec.kind.foreign() {
            command.env_remove(foreign);
        }
        command
            .arg("launch")
            .args(["--parent", &std::process::id().to_string(), "--"])
            .arg(&spec.program)
            .args(&spec.arguments)
            .envs(environment::FOR_ALL)
            .envs(spec.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(stderr)
            // Ctrl-C reaches every process of a terminal's group; these end in the order that `up` gives them.
            .process_group(0)
            .spawn()
            .map_err(Error::file("cannot start", &self.launcher))
    }

    /// Asks the process to end and waits until it has.
    async fn end(&self, child: &mut Child) {
        // None: it has ended already, and was waited for.
        let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) else { return };
        let _ = kill_process(pid, Signal::TERM);
        tokio::select! {
            _ = child.wait() => return,
            () = tokio::time::sleep(PATIENCE) => {}
            () = self.kill.cancelled() => {}
        }
        let _ = child.kill().await;
    }

    fn report(&self, index: usize, spec: &Spec, end: &str, delay: Duration) {
        let was_ready = self.board.watch().borrow().processes[index]
            .serves
            .iter()
            .any(|served| served.start_up.is_some());
        self.board.process(index, |process| {
            (process.phase, process.pid) = (Phase::Down, None);
            process.failed_starts = if was_ready { 0 } else { process.failed_starts + 1 };
            process.last_end = Some(end.to_owned());
            for (served, target) in process.serves.iter_mut().zip(&spec.targets) {
                *served = target.served();
            }
        });
        let said = run_folder::last_line(&spec.log).map(|line| format!(": {line}")).unwrap_or_default();
        let text = format!(
            "{} ended ({end}) and starts again in {}{said} (log: {})",
            spec.name,
            print::duration(delay),
            spec.log.display()
        );
        self.board.say(Level::Warn, text);
        // The log of the next start begins where a reader can see it.
        if let Ok(mut log) = File::options().append(true).open(&spec.log) {
            let _ = writeln!(log, "-- ended ({end}), started again by `nanogrid up`");
        }
    }
}

/// e.g. `exit code 1`, `signal 9`
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}{}", name(signal)),
        (None, None) => status.to_string(),
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        2 => ", SIGINT",
        6 => ", SIGABRT",
        9 => ", SIGKILL: by hand, or out of memory",
        11 => ", SIGSEGV",
        15 => ", SIGTERM",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        assert_eq!(describe(ExitStatus::from_raw(1 << 8)), "exit code 1");
        assert_eq!(describe(ExitStatus::from_raw(9)), "signal 9, SIGKILL: by hand, or out of memory");
    }
}
