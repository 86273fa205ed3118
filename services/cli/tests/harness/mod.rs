//! A whole grid of real processes: this build's `nanogrid up` with the experts of the catalog, on free ports, in a folder
//! of its own. What happens is read from the lines that `up --json` prints, so nothing here waits for time to pass.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Once, mpsc},
    thread,
    time::Duration,
};

use nanogrid_settings::ExpertManifest;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use serde_json::Value;
use tempfile::TempDir;

/// Far longer than anything here takes on a slow machine; only what hangs reaches it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Grid {
    up: Child,
    states: mpsc::Receiver<Value>,
    pub(crate) state: Value,
    pub(crate) folder: TempDir,
}

impl Grid {
    /// Starts a grid and waits until it answers.
    pub(crate) fn up(arguments: &[&str]) -> Self {
        let mut grid = Self::start(arguments);
        grid.wait_for("the grid answers", |state| state["settled"] == true);
        grid
    }

    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut up = nanogrid(&["up", "--json", "--addr", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--run"])
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("`nanogrid up` starts");
        let lines = BufReader::new(up.stdout.take().expect("piped")).lines();
        let (send, states) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let state = serde_json::from_str(&line).expect("one object a line");
                let _ = send.send(state);
            }
        });
        Self { up, states, state: Value::Null, folder }
    }

    /// Reads what `up` says until `is_it`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        while !is_it(&self.state) {
            match self.states.recv_timeout(LIMIT) {
                Ok(state) => self.state = state,
                Err(error) => panic!("{what}: {error}\n{:#}\n{}", self.state, self.logs()),
            }
        }
    }

    pub(crate) fn addr(&self) -> &str {
        self.state["addr"].as_str().expect("an address")
    }

    pub(crate) fn process(&self, name: &str) -> &Value {
        let processes = self.state["processes"].as_array().expect("a list");
        processes
            .iter()
            .find(|process| process["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {processes:#?}"))
    }

    pub(crate) fn pid(&self, name: &str) -> Pid {
        pid(&self.process(name)["pid"])
    }

    pub(crate) fn pids(&self) -> Vec<Pid> {
        let processes = self.state["processes"].as_array().expect("a list");
        processes.iter().map(|process| pid(&process["pid"])).collect()
    }

    /// Runs a command against this grid.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        nanogrid(arguments).args(["--addr", self.addr()]).output().expect("`nanogrid` runs")
    }

    /// As [`Self::run`] with `--json`; checks the exit code.
    #[track_caller]
    pub(crate) fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}\n{}", self.logs());
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.up), signal).expect("it runs");
    }

    /// How `up` ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        wait_for_end(Pid::from_child(&self.up));
        self.up.wait().expect("a child").code()
    }

    /// The ends of all logs, for a test that fails.
    pub(crate) fn logs(&self) -> String {
        let entries = self.folder.path().read_dir().expect("a folder").filter_map(Result::ok);
        let logs =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| format!("== {}\n{}", path.display(), fs::read_to_string(&path).unwrap_or_default()))
            .collect()
    }
}

impl Drop for Grid {
    fn drop(&mut self) {
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

/// This build's program, in the root of the project.
pub(crate) fn nanogrid(arguments: &[&str]) -> Command {
    build_the_others();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanogrid"));
    command.args(arguments).current_dir(root()).env_remove("NANOGRID_ADDR");
    // For the routers that `up` starts: several grids start at the same time here, on however few cores.
    command.env("NANOGRID__CLASSIFIER__LIMIT", "5s");
    command
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders up").to_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Which version of an expert its manifest says is served.
pub(crate) fn default_version(expert: &Path) -> u32 {
    ExpertManifest::read(expert).expect("good").expect("there").default_version
}

/// Copies a folder and what is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in from.read_dir().expect("a folder").map(|entry| entry.expect("readable").path()) {
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).expect("copied");
        }
    }
}

/// `cargo test --workspace` has built the programs that `up` starts; `cargo test -p nanogrid` alone has not.
fn build_the_others() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let this = Path::new(env!("CARGO_BIN_EXE_nanogrid"));
        if ["nanogrid-router", "nanogrid-expert"].iter().all(|name| this.with_file_name(name).is_file()) {
            return;
        }
        let status = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--package", "nanogrid-router", "--package", "nanogrid-experts"])
            .current_dir(root())
            .status();
        assert!(status.expect("cargo runs").success());
    });
}

/// Waits until a process is gone, whoever its parent is.
#[track_caller]
pub(crate) fn wait_for_end(pid: Pid) {
    // No such process: it has ended already.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let limit = Timespec { tv_sec: LIMIT.as_secs().cast_signed(), tv_nsec: 0 };
    let n_ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)).expect("poll");
    assert_eq!(n_ready, 1, "process {pid:?} still runs");
}

fn pid(value: &Value) -> Pid {
    let raw = value.as_i64().and_then(|raw| i32::try_from(raw).ok()).expect("a pid");
    Pid::from_raw(raw).expect("not 0")
}
