//! One process of the grid under test: started, signalled, ended, started again.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::process::{Child, Command};

use crate::Error;

/// Longer than a drain with the default settings takes; only a process that hangs is killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to run, each time again.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Of its environment: the names of settings, and what they are.
    pub(crate) settings: Vec<(&'static str, PathBuf)>,
    /// What it says; every start adds to it.
    pub(crate) log: PathBuf,
}

/// Killed when dropped, paused or not.
#[derive(Debug)]
pub(crate) struct Process {
    program: Program,
    child: Child,
}

impl Program {
    pub(crate) fn start(self) -> Result<Process, Error> {
        let child = self.spawn()?;
        Ok(Process { program: self, child })
    }

    fn spawn(&self) -> Result<Child, Error> {
        let failed = |source| Error::Process { what: "start", program: self.path.clone(), source };
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut command = Command::new(&self.path);
        // Settings of whoever runs this are not part of the scenario: it is about the defaults.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)
    }
}

fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("NANOGRID__"))
}

impl Process {
    /// Between two starts there is none.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let sent = pid.ok_or(io::ErrorKind::NotFound.into()).and_then(|pid| Ok(kill_process(pid, signal)?));
        sent.map_err(|source| Error::Process { what: "signal", program: self.program.path.clone(), source })
    }

    /// SIGKILL; returns when it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), Error> {
        let killed = self.child.kill().await;
        killed.map_err(|source| Error::Process { what: "kill", program: self.program.path.clone(), source })
    }

    /// SIGTERM; returns when it has drained and ended.
    pub(crate) async fn stop(&mut self) -> Result<(), Error> {
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(_ended) => Ok(()),
            Err(_too_long) => self.kill().await,
        }
    }

    /// After [`Self::kill`] or [`Self::stop`].
    pub(crate) fn start_again(&mut self) -> Result<(), Error> {
        self.child = self.program.spawn()?;
        Ok(())
    }

    /// An error when it has ended by itself, with the last it said.
    pub(crate) fn is_alive(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => {
                Err(Error::Ended { program: self.program.path.clone(), said: last_line(&self.program.log) })
            }
        }
    }

    /// Resident bytes; 0 when it has ended, and where the system does not tell.
    pub(crate) fn memory(&self) -> u64 {
        let Some(pid) = self.pid().map(sysinfo::Pid::from_u32) else { return 0 };
        let Ok(mut system) = System::new() else { return 0 };
        let what = ProcessRefreshKind::nothing().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
        system.process(pid).map_or(0, sysinfo::Process::memory)
    }
}

fn last_line(log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned()
}

/// Below the ports that the kernel gives to outgoing connections: while a process restarts, nobody takes its port.
const FIRST: u16 = 12_000;
const LAST: u16 = 19_999;

/// Addresses of this machine on which nobody listens, each given once.
#[derive(Debug)]
pub(crate) struct Addresses {
    next: u16,
}

impl Addresses {
    pub(crate) fn new() -> Self {
        // Runs beside each other begin far from each other.
        let step = u64::from(std::process::id()) * 7919 + rand::random_range(0..1000);
        let offset = step % u64::from(LAST - FIRST);
        Self { next: FIRST + u16::try_from(offset).expect("below the number of ports") }
    }

    pub(crate) fn free(&mut self) -> Result<SocketAddr, Error> {
        for _ in FIRST..=LAST {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.next));
            self.next = if self.next == LAST { FIRST } else { self.next + 1 };
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        Err(Error::NoPort { first: FIRST, last: LAST })
    }
}
