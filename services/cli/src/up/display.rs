//! What `up` shows while it runs: in a terminal a table that is drawn again in place, with warnings above it;
//! anywhere else a line for each thing that happens; with `--json` an object a line for each change.

use std::{
    collections::HashMap,
    io::IsTerminal,
    time::{Duration, SystemTime},
};

use comfy_table::{Attribute, Cell, CellAlignment, Color};
use tokio::sync::{mpsc::UnboundedReceiver, watch};

use crate::{
    print::{self, DIM, cell},
    up::{
        board::{Level, Notice, Phase, ProcessState, Readiness, Served, State},
        memory,
    },
};

const REDRAW_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Live,
    Lines,
    Json,
}

impl Mode {
    pub(crate) fn choose(json: bool) -> Self {
        match (json, std::io::stdout().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Live,
            (false, false) => Self::Lines,
        }
    }
}

/// Shows what happens until the board is gone.
pub(crate) async fn show(
    mode: Mode,
    mut state: watch::Receiver<State>,
    mut notices: UnboundedReceiver<Notice>,
) {
    let mut screen = Screen::default();
    let mut redraw = tokio::time::interval(REDRAW_EVERY);
    loop {
        tokio::select! {
            // What was said is shown before the end is noticed.
            biased;
            notice = notices.recv() => match notice {
                Some(notice) => screen.notice(mode, &notice),
                None => break,
            },
            changed = state.changed() => if changed.is_err() { break },
            _ = redraw.tick(), if matches!(mode, Mode::Live) => screen.measure(&state.borrow()),
        }
        screen.draw(mode, &state.borrow_and_update());
    }
    screen.draw(mode, &state.borrow());
}

#[derive(Default)]
struct Screen {
    /// Lines of the table on the screen.
    height: usize,
    memory: HashMap<u32, u64>,
    last: Option<State>,
}

impl Screen {
    fn measure(&mut self, state: &State) {
        let pids: Vec<u32> = state.processes.iter().filter_map(|process| process.pid).collect();
        self.memory = pids.iter().copied().zip(memory::resident(&pids)).collect();
    }

    fn notice(&mut self, mode: Mode, notice: &Notice) {
        let text = print::printable(&notice.text);
        match mode {
            Mode::Json => {}
            Mode::Live if notice.level == Level::Seen => {}
            Mode::Live => {
                print::out(&format!("{}{}: {text}\n", self.erase(), notice.level));
            }
            Mode::Lines => {
                let now = humantime::format_rfc3339_seconds(SystemTime::now());
                print::out(&format!("{now} {} {text}\n", notice.level));
            }
        }
    }

    fn draw(&mut self, mode: Mode, state: &State) {
        match mode {
            Mode::Lines => {}
            Mode::Json => {
                if self.last.as_ref() != Some(state) {
                    print::out(&format!(
                        "{}\n",
                        serde_json::to_string(state).expect("plain data, keys are strings")
                    ));
                    self.last = Some(state.clone());
                }
            }
            Mode::Live => {
                let table = table(state, &self.memory);
                let text = format!("{}{table}{DIM}Ctrl-C stops the grid{DIM:#}\n", self.erase());
                self.height = table.lines().count() + 1;
                print::out(&text);
            }
        }
    }

    /// Moves to where the table begins and clears what is below.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.height) {
            0 => String::new(),
            height => format!("\x1b[{height}A\x1b[J"),
        }
    }
}

/// The whole grid, one line for each expert.
pub(crate) fn table(state: &State, memory: &HashMap<u32, u64>) -> String {
    let mut table = print::table();
    table.set_header(["EXPERT", "VERSION", "ADDRESS", "PID", "STATE", "FIRST ANSWER", "MEMORY", "RESTARTS"]);
    for process in &state.processes {
        for served in &process.serves {
            table.add_row(row(process, served, memory));
        }
    }
    print::lines(table)
}

fn row(process: &ProcessState, served: &Served, memory: &HashMap<u32, u64>) -> Vec<Cell> {
    let bytes = process.pid.map_or(0, |pid| memory.get(&pid).copied().unwrap_or(process.memory));
    let time = served.first_answer.or(served.start_up).map(print::duration).unwrap_or_default();
    let (state, color) = state(process, served);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    vec![
        cell(&served.name).add_attribute(Attribute::Bold),
        cell(&served.version),
        cell(process.address),
        right(process.pid.map(|pid| pid.to_string()).unwrap_or_default()),
        cell(state).fg(color),
        right(time),
        right(print::memory(bytes)),
        right(process.restarts.to_string()),
    ]
}

fn state(process: &ProcessState, served: &Served) -> (String, Color) {
    match (process.phase, served.readiness) {
        (Phase::Queued, _) => ("queued".to_owned(), Color::DarkGrey),
        (Phase::Running, Readiness::Starting) => ("starting".to_owned(), Color::Yellow),
        (Phase::Running, Readiness::Ready) => ("ready".to_owned(), Color::Green),
        (Phase::Running, Readiness::NotReady) => ("not ready".to_owned(), Color::Red),
        (Phase::Running, Readiness::Refused) => (refusal(served), Color::Red),
        (Phase::Down, _) => (format!("down: {}", process.last_end.as_deref().unwrap_or("ended")), Color::Red),
        (Phase::Stopping, _) => ("stopping".to_owned(), Color::Yellow),
        (Phase::Stopped, _) => ("stopped".to_owned(), Color::DarkGrey),
    }
}

fn refusal(served: &Served) -> String {
    format!("refused: {}", print::printable(served.refused.as_deref().unwrap_or("no reason given")))
}
