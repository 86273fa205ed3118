//! Every label against every answer, as a picture: the fuller a cell, the more of its row is in it. Without colours the
//! numbers say the same.

use std::{collections::HashMap, fmt::Write as _};

use anstyle::{Ansi256Color, Color, Style};
use nanogrid_evaluation::{Class, Confused};

use crate::print::{self, DIM};

/// Where there is no terminal.
const WIDTH: usize = 100;

/// Longer names are cut.
const LONGEST_NAME: usize = 24;

/// From little to much of a row: right, and wrong.
const RIGHT: [u8; 4] = [22, 28, 34, 40];
const WRONG: [u8; 4] = [52, 88, 124, 160];

/// `None` when it would be wider than the terminal, or there is nothing to tell apart.
pub(crate) fn picture(classes: &[Class], confused: &[Confused]) -> Option<String> {
    draw(classes, confused, print::table().width().map_or(WIDTH, usize::from))
}

fn draw(classes: &[Class], confused: &[Confused], width: usize) -> Option<String> {
    if classes.len() < 2 || confused.is_empty() {
        return None;
    }
    let mut counts: HashMap<(&str, Option<&str>), u64> =
        confused.iter().map(|pair| ((pair.truth.as_str(), pair.answer.as_deref()), pair.n)).collect();
    counts.extend(
        classes.iter().map(|class| ((class.label.as_str(), Some(class.label.as_str())), class.n_right)),
    );
    let mut columns: Vec<Option<&str>> = classes.iter().map(|class| Some(class.label.as_str())).collect();
    if confused.iter().any(|pair| pair.answer.is_none()) {
        columns.push(None);
    }
    let digits = counts.values().max().map_or(1, |most| most.to_string().len());
    let cell = digits.max(columns.len().to_string().len()) + 2;
    let name = classes.iter().map(|class| class.label.chars().count()).max()?.min(LONGEST_NAME);
    if name + 4 + cell * columns.len() > width {
        return None;
    }
    let mut text =
        format!("\nrows: the truth; columns: the answer, by the number of the row\n{:name$}    ", "");
    for (idx, column) in columns.iter().enumerate() {
        let title = if column.is_some() { (idx + 1).to_string() } else { "?".to_owned() };
        let _ = write!(text, "{DIM}{title:>cell$}{DIM:#}");
    }
    text.push('\n');
    for (idx, class) in classes.iter().enumerate() {
        let label: String = print::printable(&class.label).chars().take(LONGEST_NAME).collect();
        let _ = write!(text, "{label:name$} {DIM}{:>2}{DIM:#} ", idx + 1);
        for column in &columns {
            let n = counts.get(&(class.label.as_str(), *column)).copied().unwrap_or_default();
            let style = shade(n, class.n, *column == Some(class.label.as_str()));
            let written = if n == 0 { ".".to_owned() } else { n.to_string() };
            let _ = write!(text, "{style}{written:>cell$}{style:#}");
        }
        text.push('\n');
    }
    Some(text)
}

fn shade(n: u64, of: u64, is_right: bool) -> Style {
    if n == 0 {
        return DIM;
    }
    let share = n as f64 / of.max(1) as f64;
    let ramp = if is_right { RIGHT } else { WRONG };
    let step = ((share * ramp.len() as f64) as usize).min(ramp.len() - 1);
    Style::new()
        .bg_color(Some(Color::Ansi256(Ansi256Color(ramp[step]))))
        .fg_color(Some(Color::Ansi256(Ansi256Color(15))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(label: &str, n: u64, n_right: u64) -> Class {
        Class { label: label.to_owned(), n, n_answered: n, n_right, precision: None, recall: None, f1: 0.0 }
    }

    #[test]
    fn a_picture_has_a_cell_for_every_pair_and_fits_the_terminal_or_is_none() {
        let classes = [class("negative", 40, 38), class("positive", 60, 55)];
        let confused = [
            Confused { truth: "positive".to_owned(), answer: Some("negative".to_owned()), n: 4 },
            Confused { truth: "negative".to_owned(), answer: Some("positive".to_owned()), n: 2 },
            Confused { truth: "positive".to_owned(), answer: None, n: 1 },
        ];
        let picture = draw(&classes, &confused, 80).expect("it fits");
        let plain = anstream::adapter::strip_str(&picture).to_string();
        let lines: Vec<&str> = plain.lines().collect();
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["1", "2", "?"]);
        assert_eq!(lines[3].split_whitespace().collect::<Vec<_>>(), ["negative", "1", "38", "2", "."]);
        assert_eq!(lines[4].split_whitespace().collect::<Vec<_>>(), ["positive", "2", "4", "55", "1"]);
        assert_eq!(draw(&classes, &confused, 20), None);
        assert_eq!(draw(&classes, &[], 80), None);
    }
}
