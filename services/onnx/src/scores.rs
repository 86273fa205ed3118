//! From logits to ranked answers. Pure, so every rule here is a table in the tests.

use std::sync::Arc;

use nanogrid_settings::package::{Activation, OutOfScope};

use crate::Package;

/// One label with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored<'a> {
    /// The label.
    pub label: &'a str,
    /// Its position among the package's labels; `None` for an out-of-scope label that the model itself does not have.
    pub index: Option<usize>,
    /// Between 0 and 1.
    pub score: f32,
}

/// How one package turns logits into an answer.
#[derive(Debug, Clone)]
pub struct Ranking {
    labels: Arc<[String]>,
    temperature: f32,
    activation: Activation,
    out_of_scope: Option<OutOfScope>,
}

impl Ranking {
    /// The rules of `package`.
    pub fn new(package: &Package) -> Self {
        Self {
            labels: Arc::clone(&package.labels),
            temperature: package.temperature,
            activation: package.activation,
            out_of_scope: package.out_of_scope.clone(),
        }
    }

    /// Those of a package that says nothing.
    #[cfg(test)]
    pub(crate) fn softmax(labels: &[String]) -> Self {
        let labels = labels.into();
        Self { labels, temperature: 1.0, activation: Activation::Softmax, out_of_scope: None }
    }

    /// The labels of the whole text, of a package that also has those of words.
    pub fn of_texts(package: &Package) -> Self {
        Self { labels: Arc::clone(&package.text_labels), ..Self::new(package) }
    }

    /// The score of every label, in the order of the labels. The out-of-scope rule plays no part.
    pub fn scores(&self, logits: &[f32]) -> Vec<f32> {
        scores(logits, self.temperature, self.activation)
    }

    /// The `k` best labels, best first, equal ones in the order of the labels. When no label in scope reaches the
    /// threshold, the out-of-scope label comes first, and its score is what the best one lacks.
    pub fn top(&self, logits: &[f32], k: usize) -> Vec<Scored<'_>> {
        let scores = self.scores(logits);
        let outside = self.outside(&scores);
        let mut order: Vec<usize> = (0..scores.len().min(self.labels.len()))
            // It has its answer already, with another score.
            .filter(|&label| outside.as_ref().is_none_or(|outside| outside.label != self.labels[label]))
            .collect();
        let best_first =
            |&left: &usize, &right: &usize| scores[right].total_cmp(&scores[left]).then(left.cmp(&right));
        if k < order.len() {
            // A model may have thousands of labels, and a caller rarely wants more than a few.
            order.select_nth_unstable_by(k, best_first);
            order.truncate(k);
        }
        order.sort_unstable_by(best_first);
        let inside = order.into_iter().map(|idx| Scored {
            label: &self.labels[idx],
            index: Some(idx),
            score: scores[idx],
        });
        outside.into_iter().chain(inside).take(k).collect()
    }

    fn outside(&self, scores: &[f32]) -> Option<Scored<'_>> {
        let rule = self.out_of_scope.as_ref()?;
        let inside = self.labels.iter().zip(scores).filter(|(label, _)| **label != rule.label);
        let best = inside.map(|(_, score)| *score).fold(0.0, f32::max);
        let index = || self.labels.iter().position(|label| *label == rule.label);
        (best < rule.threshold).then(|| Scored { label: &rule.label, index: index(), score: 1.0 - best })
    }
}

fn scores(logits: &[f32], temperature: f32, activation: Activation) -> Vec<f32> {
    match activation {
        Activation::Softmax => {
            // Subtracting the largest keeps the exponentials from overflowing and cancels out.
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut scores: Vec<f32> =
                logits.iter().map(|logit| ((logit - largest) / temperature).exp()).collect();
            let sum: f32 = scores.iter().sum();
            scores.iter_mut().for_each(|score| *score /= sum);
            scores
        }
        Activation::Sigmoid => {
            logits.iter().map(|logit| 1.0 / (1.0 + (-logit / temperature).exp())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(labels: &[&str], out_of_scope: Option<(&str, f32)>) -> Ranking {
        Ranking {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            temperature: 1.0,
            activation: Activation::Softmax,
            out_of_scope: out_of_scope
                .map(|(label, threshold)| OutOfScope { label: label.into(), threshold }),
        }
    }

    #[track_caller]
    fn check(ranking: &Ranking, logits: &[f32], k: usize, expected: &[(&str, f32)]) {
        let actual = ranking.top(logits, k);
        let labels: Vec<_> = actual.iter().map(|scored| scored.label).collect();
        assert_eq!(labels, expected.iter().map(|(label, _)| *label).collect::<Vec<_>>());
        for (scored, (_, score)) in actual.iter().zip(expected) {
            assert!((scored.score - score).abs() < 1e-4, "{}: {} is not {score}", scored.label, scored.score);
        }
    }

    #[test]
    fn the_best_come_first_and_equals_keep_their_order() {
        let abc = ranking(&["a", "b", "c"], None);
        check(&abc, &[0.0, 2.0, 0.0], 3, &[("b", 0.7869), ("a", 0.1065), ("c", 0.1065)]);
        check(&abc, &[0.0, 2.0, 0.0], 2, &[("b", 0.7869), ("a", 0.1065)]);
    }

    #[test]
    fn more_than_there_is_gives_what_there_is_and_none_gives_none() {
        let ab = ranking(&["a", "b"], None);
        check(&ab, &[0.0, 0.0], 9, &[("a", 0.5), ("b", 0.5)]);
        check(&ab, &[0.0, 0.0], 0, &[]);
        check(&ranking(&[], None), &[], 3, &[]);
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        check(&ranking(&["a", "b"], None), &[3e38, -3e38], 2, &[("a", 1.0), ("b", 0.0)]);
        let mut one_by_one = ranking(&["a", "b"], None);
        one_by_one.activation = Activation::Sigmoid;
        check(&one_by_one, &[3e38, -3e38], 2, &[("a", 1.0), ("b", 0.0)]);
    }

    #[test]
    fn temperature_softens_and_sigmoid_scores_each_label_alone() {
        let mut soft = ranking(&["a", "b"], None);
        soft.temperature = 2.0;
        check(&soft, &[2.0, 0.0], 2, &[("a", 0.7311), ("b", 0.2689)]);
        soft.activation = Activation::Sigmoid;
        check(&soft, &[2.0, 0.0], 2, &[("a", 0.7311), ("b", 0.5)]);
    }

    #[test]
    fn nothing_in_scope_puts_the_out_of_scope_label_first() {
        check(&ranking(&["a", "b"], Some(("oos", 0.6))), &[0.0, 0.0], 2, &[("oos", 0.5), ("a", 0.5)]);
        check(&ranking(&["a", "b"], Some(("oos", 0.5))), &[0.0, 0.0], 2, &[("a", 0.5), ("b", 0.5)]);
    }

    #[test]
    fn an_out_of_scope_label_that_the_model_knows_appears_once() {
        let known = ranking(&["a", "oos", "b"], Some(("oos", 0.4)));
        check(&known, &[0.0, 0.0, 0.0], 3, &[("oos", 0.6667), ("a", 0.3333), ("b", 0.3333)]);
        check(&known, &[2.0, 0.0, 0.0], 3, &[("a", 0.7869), ("oos", 0.1065), ("b", 0.1065)]);
    }
}
