//! Where a rollout stands, as a picture for a terminal.

use std::{fmt::Write as _, time::SystemTime};

use anstyle::{AnsiColor, Style};
use comfy_table::Color;
use nanogrid_proto::v1::{Rollout, RolloutMetric, RolloutPhase};

use super::{percent, since};
use crate::print::{self, BOLD, DIM, bar, cell, printable};

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

/// Characters of a whole bar.
const WIDTH: usize = 40;
const NARROW: usize = 16;

/// Every rollout, one below the other.
pub(super) fn render(rollouts: &[Rollout], now: SystemTime) -> String {
    let pictures: Vec<String> = rollouts.iter().map(|rollout| one(rollout, now)).collect();
    if pictures.is_empty() {
        "no rollout yet: `nanogrid rollout start EXPERT VERSION` begins one\n".to_owned()
    } else {
        pictures.join("\n")
    }
}

fn one(rollout: &Rollout, now: SystemTime) -> String {
    let Rollout { id, expert, stable, canary, weight, why, metrics, .. } = rollout;
    let mut text = format!(
        "{BOLD}{}{BOLD:#}: version {} is tried against version {} {DIM}{}{DIM:#}\n",
        printable(expert),
        printable(canary),
        printable(stable),
        printable(id),
    );
    let _ = writeln!(text, "{}\n", state(rollout, now));
    let _ = writeln!(text, "  {}\n", steps(rollout));
    for (version, weight) in [(stable, 10_000_u32.saturating_sub(*weight)), (canary, *weight)] {
        let share = f64::from(weight) / 10_000.0;
        let (version, percent) = (printable(version), percent(weight));
        let _ = writeln!(text, "  version {version:<4} {percent:>7}  {}", bar(share, WIDTH));
    }
    let _ = writeln!(text, "\n{}", evidence(rollout, metrics));
    let _ = writeln!(text, "  {}", printable(why));
    text
}

/// e.g. `running for 12m 30s, this step for 2m`
fn state(rollout: &Rollout, now: SystemTime) -> String {
    let phase = print::words(rollout.phase().as_str_name(), "ROLLOUT_PHASE");
    let (style, times) = match rollout.phase() {
        RolloutPhase::Unspecified | RolloutPhase::Running | RolloutPhase::Paused => {
            let (all, step) = (since(rollout.started.as_ref(), now), since(rollout.step_began.as_ref(), now));
            (BOLD, format!(", began {all} ago, this step {step} ago"))
        }
        RolloutPhase::Promoted => (GREEN, String::new()),
        RolloutPhase::RolledBack | RolloutPhase::Aborted => (RED, String::new()),
    };
    format!("{style}{phase}{style:#}{times}")
}

/// e.g. `copies > 1 % > [5 %] > 25 % > 50 % > 100 %`
fn steps(rollout: &Rollout) -> String {
    let is_now = |idx: usize| match rollout.phase() {
        RolloutPhase::Unspecified | RolloutPhase::Running | RolloutPhase::Paused => {
            u32::try_from(idx) == Ok(rollout.step)
        }
        RolloutPhase::Promoted => idx + 1 == rollout.steps.len(),
        RolloutPhase::RolledBack | RolloutPhase::Aborted => false,
    };
    let step = |(idx, step): (usize, &nanogrid_proto::v1::RolloutStep)| {
        let name = if step.weight == 0 { "copies only".to_owned() } else { percent(step.weight) };
        if is_now(idx) { format!("{BOLD}[{name}]{BOLD:#}") } else { format!("{DIM}{name}{DIM:#}") }
    };
    rollout.steps.iter().enumerate().map(step).collect::<Vec<_>>().join(" > ")
}

/// What was seen in this step, and how near the line it is at which the version is taken back.
fn evidence(rollout: &Rollout, metrics: &[RolloutMetric]) -> String {
    let mut table = print::table();
    let version = |number: &str| format!("VERSION {}", printable(number));
    table.set_header([
        "  IN THIS STEP".to_owned(),
        version(&rollout.stable),
        version(&rollout.canary),
        "AGAINST IT, SINCE THE START".to_owned(),
    ]);
    for metric in metrics {
        let share = (metric.log10_evidence / metric.log10_needed).clamp(0.0, 1.0);
        let color = if share >= 1.0 {
            Color::Red
        } else if share >= 0.5 {
            Color::Yellow
        } else {
            Color::Green
        };
        let picture = format!(
            "|{}| {}, taken back at {}",
            bar(share, NARROW),
            odds(metric.log10_evidence),
            odds(metric.log10_needed)
        );
        table.add_row(vec![
            cell(format!("  {}", metric.name)),
            cell(counts(metric.stable_bad, metric.stable_requests)),
            cell(counts(metric.canary_bad, metric.canary_requests)),
            cell(picture).fg(color),
        ]);
    }
    print::lines(table)
}

/// e.g. `3 of 1200 (0.25 %)`
fn counts(bad: u64, all: u64) -> String {
    if all == 0 {
        return "none seen".to_owned();
    }
    format!("{bad} of {all} ({:.2} %)", 100.0 * bad as f64 / all as f64)
}

/// e.g. `12 to 1`, of a decimal logarithm
fn odds(log10: f64) -> String {
    match log10 {
        log10 if log10 <= 0.0 => "nothing".to_owned(),
        log10 if log10 < 4.0 => format!("{:.1$} to 1", 10_f64.powf(log10), usize::from(log10 < 1.0)),
        log10 => format!("10^{log10:.0} to 1"),
    }
}

#[cfg(test)]
mod tests;
