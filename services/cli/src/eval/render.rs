//! The report for people.

use comfy_table::{Attribute, Cell, CellAlignment, Color};
use nanogrid_evaluation::{Class, Confused, Estimate, SpanErrors, Summary};

use crate::{
    eval::{matrix, report::Report},
    print::{self, BOLD, DIM, cell},
};

/// A table of more labels shows those that are taken for others most.
const MOST_CLASSES: usize = 40;
const WORST_CLASSES: usize = 20;
const PAIRS: usize = 10;
const NAMES: usize = 10;
const BAR: usize = 20;

pub(crate) fn text(report: &Report) -> String {
    let summary = report.summary();
    let mut text = heading(report);
    text.push_str(&measures(&summary));
    text.push_str(&classes(&summary.classes));
    if summary.span_errors.is_none() {
        let plain =
            |classes: &[Class], confused: &[Confused]| matrix::picture(classes, confused).unwrap_or_default();
        text.push_str(&plain(&summary.classes, &summary.confused));
    }
    text.push_str(&confused(&summary.confused, summary.span_errors.is_some()));
    if let Some(errors) = summary.span_errors {
        text.push_str(&span_errors(errors));
    }
    text.push_str(&speed(report));
    text.push_str(&trouble(report, &summary));
    text
}

fn heading(report: &Report) -> String {
    let versions: Vec<String> = match report.versions.len() {
        1 => report.versions.keys().map(|version| format!("v{version}")).collect(),
        _ => report.versions.iter().map(|(version, n)| format!("v{version} ({n} rows)")).collect(),
    };
    let said =
        format!("{} {}, {}, from {}", report.expert, versions.join(" and "), report.task, report.place);
    let rows = format!("{} rows of {}", report.n_answered, report.path.display());
    format!("{BOLD}{}{BOLD:#}\n{DIM}{}{DIM:#}\n\n", print::printable(&said), print::printable(&rows))
}

fn measures(summary: &Summary) -> String {
    let (spans, texts) = (summary.span_errors.is_some(), summary.chrf.is_some());
    let (covered, right) = summary.answered.map_or((None, None), |(share, right)| (Some(share), right));
    let mut table = print::table();
    for (name, estimate) in [
        (if spans || texts { "rows exactly right" } else { "accuracy" }, summary.accuracy),
        ("in scope", summary.scope.and_then(|scope| scope.in_scope)),
        ("out of scope, recall", summary.scope.map(|scope| scope.outside)),
        ("sure enough to answer", covered),
        ("of these right", right),
        (if spans { "micro-F1 of spans" } else { "micro-F1" }, summary.micro_f1),
        ("macro-F1", summary.macro_f1),
    ] {
        let Some(Estimate { value, low, high, n }) = estimate else { continue };
        table.add_row([
            cell(name),
            Cell::new(percent(value)).add_attribute(Attribute::Bold).set_alignment(CellAlignment::Right),
            cell(format!("{} to {}", percent(low), percent(high))),
            cell(format!("{n} rows")).add_attribute(Attribute::Dim),
        ]);
    }
    if let Some(chrf) = summary.chrf {
        let value = Cell::new(format!("{chrf:.1}")).add_attribute(Attribute::Bold);
        table.add_row([cell("chrF"), value.set_alignment(CellAlignment::Right)]);
    }
    if table.is_empty() { "no row was answered\n".to_owned() } else { print::lines(table) }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn classes(classes: &[Class]) -> String {
    let mut shown: Vec<&Class> = classes.iter().collect();
    shown.sort_by(|left, right| left.f1.total_cmp(&right.f1).then(right.n.cmp(&left.n)));
    let is_cut = shown.len() > MOST_CLASSES;
    if is_cut {
        shown.retain(|class| class.n > 0);
        shown.truncate(WORST_CLASSES);
    }
    if shown.is_empty() {
        return String::new();
    }
    let share = |share: Option<f64>| {
        Cell::new(share.map_or("-".to_owned(), percent)).set_alignment(CellAlignment::Right)
    };
    let mut table = print::table();
    table.set_header(["LABEL", "PRECISION", "RECALL", "F1", "N", ""]);
    for class in shown {
        table.add_row([
            cell(&class.label).add_attribute(Attribute::Bold),
            share(class.precision),
            share(class.recall),
            share(Some(class.f1)),
            Cell::new(class.n).set_alignment(CellAlignment::Right),
            cell(print::bar(class.f1, BAR)).fg(color(class.f1)),
        ]);
    }
    let more = if is_cut {
        format!("{DIM}the {WORST_CLASSES} hardest of {} labels; --json has all{DIM:#}\n", classes.len())
    } else {
        String::new()
    };
    format!("\n{}{more}", print::lines(table))
}

fn color(share: f64) -> Color {
    match share {
        share if share >= 0.9 => Color::Green,
        share if share >= 0.7 => Color::Yellow,
        _ => Color::Red,
    }
}

fn confused(confused: &[Confused], of_spans: bool) -> String {
    let Some(most) = confused.first().map(|confused| confused.n) else { return String::new() };
    let mut table = print::table();
    table.set_header(["TRUTH", "TAKEN FOR", "N", ""]);
    for Confused { truth, answer, n } in confused.iter().take(PAIRS) {
        let answer = answer.as_deref().unwrap_or("not sure enough of anything");
        table.add_row([
            cell(truth),
            cell(answer),
            Cell::new(n).set_alignment(CellAlignment::Right),
            cell(print::bar(*n as f64 / most as f64, BAR)).fg(Color::Red),
        ]);
    }
    let title = if of_spans {
        "spans at the right place, taken for something else"
    } else {
        "taken for each other most"
    };
    let more = confused.len().saturating_sub(PAIRS);
    let more =
        if more > 0 { format!("{DIM}and {more} more pairs; --json has all{DIM:#}\n") } else { String::new() };
    format!("\n{title}\n{}{more}", print::lines(table))
}

fn span_errors(errors: SpanErrors) -> String {
    let SpanErrors { entity, bounds, missed, invented } = errors;
    format!(
        "\nspans: {entity} with another entity, {bounds} with other bounds, {missed} missed, {invented} where there is none\n"
    )
}

fn speed(report: &Report) -> String {
    let time = |share| report.latency_at(share).map(print::duration).unwrap_or_default();
    let Some(rate) = report.rows_per_second().filter(|_| report.n_answered > 0) else { return String::new() };
    format!(
        "\n{rate:.0} rows/s, {} at a time; latency p50 {}, p90 {}, p99 {}, max {}\n",
        report.concurrency,
        time(0.5),
        time(0.9),
        time(0.99),
        time(1.0)
    )
}

/// What the numbers above do not say.
fn trouble(report: &Report, summary: &Summary) -> String {
    let mut text = String::new();
    let mut say = |line: String| text.push_str(&format!("\n{}\n", print::printable(&line)));
    if let Some(strangers) = report.strangers(&summary.classes) {
        let names: Vec<String> =
            strangers.labels.iter().take(NAMES).map(|(label, n)| format!("`{label}` ({n} rows)")).collect();
        let more = strangers.labels.len().saturating_sub(NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let why =
            if strangers.certain { "that the expert does not have" } else { "that were never answered" };
        say(format!(
            "labels in the data {why}: {}{more}; if they are only called otherwise, use --rename FROM=TO",
            names.join(", ")
        ));
    }
    for (kind, failures) in &report.failures {
        say(format!(
            "{} rows have no answer: {kind}; the first is line {}: {}",
            failures.n, failures.line, failures.message
        ));
    }
    if report.n_bad > 0 {
        say(format!("{} rows could not be read, and were skipped:", report.n_bad));
        for (line, problem) in &report.bad {
            say(format!("  {}:{line}: {problem}", report.path.display()));
        }
    }
    if report.stopped {
        say("stopped before the end of the file".to_owned());
    }
    text
}
