//! What `up` knows of its processes at this moment. The table, the state file and `--detach` all read it from here.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

/// The grid on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of `up`.
    pub(crate) pid: u32,
    /// Where the router answers.
    pub(crate) addr: SocketAddr,
    /// The router's metrics and probes.
    pub(crate) ops: SocketAddr,
    /// True once every process has had its chance to start, and the router has reached what is ready.
    pub(crate) settled: bool,
    /// The router first.
    pub(crate) processes: Vec<ProcessState>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProcessState {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
    pub(crate) phase: Phase,
    pub(crate) pid: Option<u32>,
    /// Times it was started again.
    pub(crate) restarts: u32,
    /// Starts in a row that ended before it was ready.
    pub(crate) failed_starts: u32,
    /// How it ended last.
    pub(crate) last_end: Option<String>,
    /// Resident bytes when it gave its first answer.
    pub(crate) memory: u64,
    pub(crate) serves: Vec<Served>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Not started yet: as many start at the same time as there are cores.
    Queued,
    Running,
    /// Ended, and to be started again.
    Down,
    Stopping,
    Stopped,
}

/// What one process answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Served {
    /// Name of the expert, or `router`.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) readiness: Readiness,
    /// From exec to ready.
    pub(crate) start_up: Option<Duration>,
    /// From exec to the first answer.
    pub(crate) first_answer: Option<Duration>,
    /// Why the process will not serve it.
    pub(crate) refused: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Readiness {
    /// Not ready yet.
    Starting,
    Ready,
    /// Was ready, and is not any more.
    NotReady,
    /// The process runs, but will not serve this.
    Refused,
}

impl ProcessState {
    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.serves.iter().all(Served::is_ready)
    }

    /// Everything that it serves has had its chance.
    pub(crate) fn has_started(&self) -> bool {
        self.phase == Phase::Running
            && self.serves.iter().all(|served| served.readiness != Readiness::Starting)
    }

    /// Twice in a row is no accident: whoever waits for it has waited long enough.
    pub(crate) fn is_failing(&self) -> bool {
        self.failed_starts >= 2
    }
}

impl Served {
    pub(crate) fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }
}

/// One line for people.
pub(crate) struct Notice {
    pub(crate) level: Level,
    pub(crate) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The table shows it too.
    Seen,
    Info,
    Warn,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Seen | Self::Info => "info",
            Self::Warn => "warn",
        })
    }
}

/// Where the processes write what they know.
#[derive(Clone)]
pub(crate) struct Board {
    state: watch::Sender<State>,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Board {
    pub(crate) fn new(state: State) -> (Self, mpsc::UnboundedReceiver<Notice>) {
        let (notices, read) = mpsc::unbounded_channel();
        (Self { state: watch::Sender::new(state), notices }, read)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn process(&self, process: usize, change: impl FnOnce(&mut ProcessState)) {
        self.state.send_modify(|state| change(&mut state.processes[process]));
    }

    pub(crate) fn settled(&self) {
        self.state.send_modify(|state| state.settled = true);
    }

    pub(crate) fn say(&self, level: Level, text: String) {
        // Nobody reads any more when `up` itself is ending.
        let _ = self.notices.send(Notice { level, text });
    }
}
