//! Text for people: aligned, coloured only where a terminal shows it and `NO_COLOR` does not forbid it.
//!
//! Commands render with colours throughout; they are taken out again here when the output is no terminal.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, ContentArrangement, Table, presets};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// Prints to stdout. A reader that has left is no error: it has seen what it wanted.
pub(crate) fn out(text: &str) {
    let _ = write(&mut anstream::stdout(), text);
}

pub(crate) fn json(value: &serde_json::Value) {
    out(&format!("{value:#}\n"));
}

/// Prints to stderr.
pub(crate) fn error(error: &dyn std::error::Error) {
    let _ =
        write(&mut anstream::stderr(), &format!("{RED}error:{RED:#} {}\n", printable(&error.to_string())));
}

/// As [`error`], for what does not end the command.
pub(crate) fn warning(text: &str) {
    let _ = write(&mut anstream::stderr(), &format!("{YELLOW}warning:{YELLOW:#} {}\n", printable(text)));
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Narrower than this, a table is easier to read when the terminal wraps its lines. Some terminals say they have no width.
const NARROW: u16 = 60;

/// A table without lines, as wide as the terminal at most.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).enforce_styling();
    if table.width().is_some_and(|width| width >= NARROW) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// The table as text, its lines without trailing blanks.
pub(crate) fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.style_text_only();
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// `share` of a line of `width` characters, e.g. `#####---------------`
pub(crate) fn bar(share: f64, width: usize) -> String {
    let n_full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    // A little is not nothing.
    let n_full = if share > 0.0 { n_full.max(1) } else { 0 };
    format!("{}{}", "#".repeat(n_full), "-".repeat(width.saturating_sub(n_full)))
}

/// Makes what is printed next take the place of what was there; in a file they follow each other.
pub(crate) fn clear_screen() -> &'static str {
    if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" }
}

/// A cell with a text that someone else wrote.
pub(crate) fn cell(text: impl Display) -> Cell {
    Cell::new(printable(&text.to_string()))
}

/// `text` without control characters: a model's answer must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' { '\u{fffd}' } else { char }).collect()
}

/// e.g. `850 us`, `1.42 ms`, `2.1 s`
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 0.001 => format!("{:.0} us", seconds * 1e6),
        seconds if seconds < 0.01 => format!("{:.2} ms", seconds * 1e3),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

/// As [`duration`]; empty when the message has none.
pub(crate) fn wire_duration(duration: Option<&prost_types::Duration>) -> String {
    duration.and_then(|value| Duration::try_from(*value).ok()).map(self::duration).unwrap_or_default()
}

/// e.g. `41.3 MiB`; empty when unknown, which is 0.
pub(crate) fn memory(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)) }
}

/// The name of an enum's value in words: `OUTCOME_STATUS_TIMED_OUT` is `timed out`.
pub(crate) fn words(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).trim_start_matches('_').replace('_', " ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_values_become_words() {
        assert_eq!(words("OUTCOME_STATUS_TIMED_OUT", "OUTCOME_STATUS"), "timed out");
        assert_eq!(words("VERDICT_SINGLE", "VERDICT"), "single");
    }

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[2Jgone\n"), "\u{fffd}[2Jgone\n");
    }

    #[test]
    fn durations_have_three_digits_at_most() {
        assert_eq!(duration(Duration::from_micros(850)), "850 us");
        assert_eq!(duration(Duration::from_micros(1420)), "1.42 ms");
        assert_eq!(duration(Duration::from_millis(83)), "83 ms");
        assert_eq!(duration(Duration::from_millis(2140)), "2.1 s");
    }
}
