//! Where a number was measured. A number without machine, commit and command is worth nothing to the next reader.

use std::fmt;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use serde::Serialize;

/// Machine, commit, command and time.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// Model of the processor.
    pub cpu: String,
    /// Processors this process may use.
    pub n_cpus: usize,
    /// Memory in GiB.
    pub memory_gib: Option<f64>,
    /// Operating system, release of its kernel, architecture.
    pub system: String,
    /// Of the working folder; ends in `-dirty` when there are changes.
    pub commit: Option<String>,
    /// As typed.
    pub command: String,
    /// When the run started, UTC.
    pub started: String,
}

impl Origin {
    /// Looks around.
    pub fn here() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| arch.to_owned()),
            n_cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: field("/proc/meminfo", "MemTotal").and_then(|total| {
                let kib: f64 = total.trim_end_matches("kB").trim().parse().ok()?;
                Some((kib / 1024.0 / 1024.0 * 10.0).round() / 10.0)
            }),
            system: format!("{os} {} {arch}", kernel.trim()),
            commit: git(&["describe", "--always", "--dirty", "--exclude=*"]),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, n_cpus, system, commit, command, .. } = self;
        let commit = commit.as_deref().unwrap_or("no commit");
        write!(f, "{n_cpus} x {cpu}, {system}, {commit}\n{command}")
    }
}

fn field(path: &str, name: &str) -> Option<String> {
    let content = fs::read_to_string(path).ok()?;
    let line = content.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
