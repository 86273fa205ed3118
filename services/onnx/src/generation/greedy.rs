//! The likeliest token at every step: one hypothesis, nothing to compare, nothing to sort.

use super::{Generated, Rules, Search, Successor, log_sum_exp};
use crate::RunError;

pub(super) struct Greedy {
    rules: Rules,
    max_tokens: usize,
    ids: Vec<u32>,
    sum: f32,
    n_tokens: usize,
    next: [Successor; 1],
}

impl Greedy {
    pub(super) fn new(rules: Rules, max_tokens: usize) -> Self {
        let next = [Successor { parent: 0, token: rules.config.start_token }];
        Self { rules, max_tokens, ids: Vec::new(), sum: 0.0, n_tokens: 0, next }
    }
}

impl Search for Greedy {
    fn advance(&mut self, logits: &[f32]) -> Result<&[Successor], RunError> {
        let normaliser = log_sum_exp(logits)?;
        let (mut token, mut best) = (self.rules.config.end_token, f32::NEG_INFINITY);
        for (candidate, &logit) in (0..).zip(logits) {
            if logit > best && self.rules.is_choice(candidate) {
                (token, best) = (candidate, logit);
            }
        }
        self.n_tokens += 1;
        self.sum += best - normaliser;
        if !self.sum.is_finite() {
            return Err(RunError::Failed("the model leaves no token to choose".into()));
        }
        if token == self.rules.config.end_token {
            return Ok(&[]);
        }
        self.ids.push(token);
        if self.n_tokens == self.max_tokens {
            return Ok(&[]);
        }
        self.next[0].token = token;
        Ok(&self.next)
    }

    fn answer(&mut self) -> Generated {
        Generated { ids: std::mem::take(&mut self.ids), score: self.sum / self.n_tokens as f32 }
    }
}
