//! chrF (Popovic, 2015): how far two texts agree in their sequences of characters. Unlike a comparison of words it forgives
//! another ending, and unlike equality it says how far off a translation is. As sacreBLEU counts it by default: sequences of
//! 1 to 6 characters without blanks, recall twice as important as precision, counts of all rows together.

use std::collections::HashMap;

const ORDERS: usize = 6;
const BETA: f64 = 2.0;

/// Counts of the rows so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chrf([Counts; ORDERS]);

/// Sequences of one length.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    in_answers: u64,
    in_references: u64,
    in_both: u64,
}

impl Chrf {
    pub(crate) fn add(&mut self, answer: &str, reference: &str) {
        let chars = |text: &str| -> Vec<char> { text.chars().filter(|char| !char.is_whitespace()).collect() };
        let (answer, reference) = (chars(answer), chars(reference));
        for (order, counts) in (1..).zip(&mut self.0) {
            let mut left: HashMap<&[char], u64> = HashMap::new();
            reference.windows(order).for_each(|sequence| *left.entry(sequence).or_default() += 1);
            counts.in_references += reference.windows(order).len() as u64;
            counts.in_answers += answer.windows(order).len() as u64;
            for sequence in answer.windows(order) {
                if let Some(n) = left.get_mut(sequence).filter(|n| **n > 0) {
                    *n -= 1;
                    counts.in_both += 1;
                }
            }
        }
    }

    /// From 0 to 100.
    pub(crate) fn score(&self) -> f64 {
        // Texts that are shorter than a sequence say nothing about sequences of that length.
        let used: Vec<&Counts> =
            self.0.iter().filter(|counts| counts.in_answers > 0 && counts.in_references > 0).collect();
        let mean = |of: fn(&Counts) -> u64| {
            let shares = used.iter().map(|counts| counts.in_both as f64 / of(counts) as f64);
            shares.sum::<f64>() / used.len().max(1) as f64
        };
        let (precision, recall) = (mean(|counts| counts.in_answers), mean(|counts| counts.in_references));
        let weight = BETA * BETA;
        let below = weight * precision + recall;
        if below > 0.0 { 100.0 * (1.0 + weight) * precision * recall / below } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: &[(&str, &str)], expected: f64) {
        let mut chrf = Chrf::default();
        rows.iter().for_each(|(answer, reference)| chrf.add(answer, reference));
        assert!((chrf.score() - expected).abs() < 1e-9, "{rows:?}: {}", chrf.score());
    }

    #[test]
    fn it_is_the_f_score_of_sequences_of_characters() {
        check(&[("das Haus", "das Haus")], 100.0);
        check(&[("dasHaus", "das  Haus")], 100.0);
        check(&[("xyz", "abc")], 0.0);
        check(&[("", "abc")], 0.0);
        check(&[], 0.0);
        // One character: 2 of 3 and 2 of 2. Two: 1 of 2 and 1 of 1. Three: the reference has none.
        let (precision, recall) = ((2.0 / 3.0 + 1.0 / 2.0) / 2.0, 1.0);
        check(&[("abc", "ab")], 100.0 * 5.0 * precision * recall / (4.0 * precision + recall));
        // No sequence counts more often than it is there: 1 of 2 and 1 of 1, then none of 1 and none at all.
        check(&[("aa", "a")], 100.0 * 5.0 * 0.5 / (4.0 * 0.5 + 1.0));
    }

    #[test]
    fn rows_are_counted_together_and_long_ones_weigh_more() {
        // One character of eight is wrong, and all the longer sequences are right.
        let mut together = Chrf::default();
        together.add("a", "b");
        together.add("abcdefg", "abcdefg");
        assert!(together.score() > 90.0 && together.score() < 100.0, "{}", together.score());
    }
}
