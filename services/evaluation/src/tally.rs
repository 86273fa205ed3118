//! Counts answers against the truth, row by row, in any order.

use std::collections::HashMap;

use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, Poisson};

use crate::{Answer, Span, SpanErrors, TooManyLabels, Truth, chrf::Chrf, classes::Classes};

/// As many as the training kit draws.
pub(crate) const RESAMPLES: usize = 1000;

/// What was counted so far.
///
/// Intervals of F1 are bootstrapped, without keeping the rows: in each resample a row counts as often as a Poisson draw
/// says, which is what drawing rows with replacement comes to when there are many. The draws depend on the seed and on
/// the row alone, so the order in which answers come makes no difference.
#[derive(Debug)]
pub struct Tally {
    pub(crate) classes: Classes,
    /// By class.
    pub(crate) counts: Vec<Counts>,
    /// Truth and answer where they are one label each; for spans, those at the same place. `None`: no answer.
    pub(crate) confused: HashMap<(usize, Option<usize>), u64>,
    pub(crate) none: Option<String>,
    pub(crate) rows: Rows,
    pub(crate) outside: Outside,
    pub(crate) spans: SpanErrors,
    pub(crate) chrf: Chrf,
    pub(crate) kind: Option<Kind>,
    seed: u64,
}

/// Of one class: in all, and in each resample.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) all: Cells<u64>,
    pub(crate) resampled: Vec<Cells<u32>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cells<N> {
    pub(crate) right: N,
    /// Answered, and not so.
    pub(crate) wrong: N,
    /// So, and not answered.
    pub(crate) missed: N,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) n: u64,
    pub(crate) right: u64,
    pub(crate) abstained: u64,
}

/// Rows whose truth is that no label fits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outside {
    pub(crate) n: u64,
    pub(crate) right: u64,
}

/// What the rows are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Label,
    Labels,
    Spans,
    Text,
}

/// What a row says about a class.
#[derive(Clone, Copy)]
enum Event {
    Right(usize),
    Wrong(usize),
    Missed(usize),
}

impl Tally {
    /// `none` is the label that says that no other fits; `seed` draws the resamples.
    pub fn new(none: Option<String>, seed: u64) -> Self {
        Self {
            classes: Classes::default(),
            counts: Vec::new(),
            confused: HashMap::new(),
            none,
            rows: Rows::default(),
            outside: Outside::default(),
            spans: SpanErrors::default(),
            chrf: Chrf::default(),
            kind: None,
            seed,
        }
    }

    /// Counts the answer to row number `row`. An answer of another kind than the truth is no answer at all.
    ///
    /// # Errors
    /// When there are more different labels than any classifier has.
    pub fn add(&mut self, row: u64, truth: &Truth, answer: &Answer) -> Result<(), TooManyLabels> {
        let events = match (truth, answer) {
            (Truth::Label(truth), answer) => {
                self.kind = Some(Kind::Label);
                let answer = match answer {
                    Answer::Label(label) => label.as_deref(),
                    Answer::Labels(_) | Answer::Spans(_) | Answer::Text(_) => None,
                };
                self.label(truth, answer)?
            }
            (Truth::Labels(truth), answer) => {
                self.kind = Some(Kind::Labels);
                let answer = match answer {
                    Answer::Labels(labels) => labels.as_slice(),
                    Answer::Label(_) | Answer::Spans(_) | Answer::Text(_) => &[],
                };
                self.labels(truth, answer)?
            }
            (Truth::Spans(truth), answer) => {
                self.kind = Some(Kind::Spans);
                let answer = match answer {
                    Answer::Spans(spans) => spans.as_slice(),
                    Answer::Label(_) | Answer::Labels(_) | Answer::Text(_) => &[],
                };
                self.spans(truth, answer)?
            }
            (Truth::Text(truth), answer) => {
                self.kind = Some(Kind::Text);
                let answer = match answer {
                    Answer::Text(text) => text.as_str(),
                    Answer::Label(_) | Answer::Labels(_) | Answer::Spans(_) => "",
                };
                self.row(truth.trim() == answer.trim());
                self.chrf.add(answer, truth);
                Vec::new()
            }
        };
        self.count(row, &events);
        Ok(())
    }

    /// The share of rows that were answered right, so far.
    pub fn share_right(&self) -> Option<f64> {
        (self.rows.n > 0).then(|| self.rows.right as f64 / self.rows.n as f64)
    }

    fn class(&mut self, name: &str) -> Result<usize, TooManyLabels> {
        let class = self.classes.number(name)?;
        if class == self.counts.len() {
            self.counts.push(Counts { all: Cells::default(), resampled: vec![Cells::default(); RESAMPLES] });
        }
        Ok(class)
    }

    fn label(&mut self, truth: &str, answer: Option<&str>) -> Result<Vec<Event>, TooManyLabels> {
        let none = self.none.clone();
        // To be sure of nothing is to say that no label fits, where there is a word for that.
        let answer = answer.or(none.as_deref());
        let wanted = self.class(truth)?;
        let given = answer.map(|label| self.class(label)).transpose()?;
        *self.confused.entry((wanted, given)).or_default() += 1;
        let is_right = given == Some(wanted);
        self.row(is_right);
        self.rows.abstained += u64::from(answer.is_none());
        if none.as_deref() == Some(truth) {
            self.outside.n += 1;
            self.outside.right += u64::from(is_right);
        }
        Ok(match given {
            Some(_) if is_right => vec![Event::Right(wanted)],
            Some(given) => vec![Event::Missed(wanted), Event::Wrong(given)],
            None => vec![Event::Missed(wanted)],
        })
    }

    fn labels(&mut self, truth: &[String], answer: &[String]) -> Result<Vec<Event>, TooManyLabels> {
        let none = self.none.clone();
        // The label for "none of them" is no label among others: it is an empty set.
        let in_scope = |label: &&String| Some(label.as_str()) != none.as_deref();
        let (truth, answer): (Vec<&String>, Vec<&String>) =
            (truth.iter().filter(in_scope).collect(), answer.iter().filter(in_scope).collect());
        let mut events = Vec::new();
        for label in &truth {
            let class = self.class(label)?;
            events.push(if answer.contains(label) { Event::Right(class) } else { Event::Missed(class) });
        }
        for label in answer.iter().filter(|label| !truth.contains(label)) {
            events.push(Event::Wrong(self.class(label)?));
        }
        let is_right = events.iter().all(|event| matches!(event, Event::Right(_)));
        self.row(is_right);
        if truth.is_empty() {
            self.outside.n += 1;
            self.outside.right += u64::from(is_right);
        }
        Ok(events)
    }

    fn spans(&mut self, truth: &[Span], answer: &[Span]) -> Result<Vec<Event>, TooManyLabels> {
        let mut events = Vec::new();
        for span in truth {
            let class = self.class(&span.entity)?;
            events.push(if answer.contains(span) { Event::Right(class) } else { Event::Missed(class) });
        }
        let mut wrong: Vec<&Span> = answer.iter().filter(|span| !truth.contains(span)).collect();
        for span in &wrong {
            events.push(Event::Wrong(self.class(&span.entity)?));
        }
        self.row(events.iter().all(|event| matches!(event, Event::Right(_))));
        // Each span that is missed is explained by at most one that is wrong.
        for missed in truth.iter().filter(|span| !answer.contains(span)) {
            let overlaps = |given: &&Span| given.start < missed.end && missed.start < given.end;
            let same_place = |given: &&Span| (given.start, given.end) == (missed.start, missed.end);
            let explained = wrong
                .iter()
                .position(same_place)
                .or_else(|| wrong.iter().position(overlaps))
                .map(|idx| wrong.swap_remove(idx));
            match explained {
                Some(given) if same_place(&given) => {
                    self.spans.entity += 1;
                    let pair = (self.class(&missed.entity)?, Some(self.class(&given.entity)?));
                    *self.confused.entry(pair).or_default() += 1;
                }
                Some(_) => self.spans.bounds += 1,
                None => self.spans.missed += 1,
            }
        }
        self.spans.invented += wrong.len() as u64;
        Ok(events)
    }

    fn row(&mut self, is_right: bool) {
        self.rows.n += 1;
        self.rows.right += u64::from(is_right);
    }

    fn count(&mut self, row: u64, events: &[Event]) {
        for event in events {
            *event.cell(&mut self.counts[event.class()].all) += 1;
        }
        if events.is_empty() {
            return;
        }
        let mut random = SmallRng::seed_from_u64(self.seed ^ row.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let times: Poisson<f64> = Poisson::new(1.0).expect("a mean of 1 is above 0");
        for resample in 0..RESAMPLES {
            let weight = times.sample(&mut random) as u32;
            if weight > 0 {
                for event in events {
                    *event.cell(&mut self.counts[event.class()].resampled[resample]) += weight;
                }
            }
        }
    }
}

impl Event {
    fn class(self) -> usize {
        match self {
            Self::Right(class) | Self::Wrong(class) | Self::Missed(class) => class,
        }
    }

    fn cell<N>(self, cells: &mut Cells<N>) -> &mut N {
        match self {
            Self::Right(_) => &mut cells.right,
            Self::Wrong(_) => &mut cells.wrong,
            Self::Missed(_) => &mut cells.missed,
        }
    }
}

#[cfg(test)]
mod tests;
