//! Beam search, as Hugging Face transformers and fairseq do it: the likeliest continuations of all live hypotheses together,
//! so that a token which is likely now and a dead end later costs no answer.
//!
//! There are twice as many candidates as beams, because half of them may end a text. One that ends is finished if it is
//! among the first, and is worth its log-probability divided by its length to the power of the length penalty. When there
//! are as many finished ones as beams, and no live one is worth more as it stands, the best of them is the answer.

use nanogrid_settings::package::NumBeams;

use super::{Generated, Rules, Search, Successor, log_sum_exp};
use crate::RunError;

pub(super) struct BeamSearch {
    rules: Rules,
    num_beams: usize,
    max_tokens: usize,
    n_tokens: usize,
    /// Likeliest first.
    live: Vec<Hypothesis>,
    /// Best first; at most as many as beams.
    finished: Vec<Finished>,
    next: Vec<Successor>,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Default)]
struct Hypothesis {
    ids: Vec<u32>,
    /// Log-probability.
    sum: f32,
}

struct Finished {
    answer: Generated,
    worth: f32,
}

#[derive(Clone, Copy)]
struct Candidate {
    sum: f32,
    successor: Successor,
}

impl BeamSearch {
    pub(super) fn new(rules: Rules, num_beams: NumBeams, max_tokens: usize) -> Self {
        let num_beams = num_beams.get();
        Self {
            rules,
            num_beams,
            max_tokens,
            n_tokens: 0,
            live: vec![Hypothesis::default()],
            finished: Vec::with_capacity(num_beams + 1),
            next: Vec::with_capacity(num_beams),
            candidates: Vec::with_capacity(2 * num_beams + 1),
        }
    }

    /// The likeliest continuations, likeliest first.
    fn find_candidates(&mut self, logits: &[f32]) -> Result<(), RunError> {
        self.candidates.clear();
        let most = 2 * self.num_beams;
        let rows = logits.chunks_exact(self.rules.n_vocabulary);
        for (parent, (hypothesis, logits)) in self.live.iter().zip(rows).enumerate() {
            let base = hypothesis.sum - log_sum_exp(logits)?;
            for (token, &logit) in (0..).zip(logits) {
                let sum = base + logit;
                // Nearly every token ends here, and costs no more than this.
                let enough = match self.candidates.last() {
                    Some(last) if self.candidates.len() == most => last.sum,
                    Some(_) | None => f32::NEG_INFINITY,
                };
                if sum > enough && self.rules.is_choice(token) {
                    let place = self.candidates.partition_point(|better| better.sum >= sum);
                    self.candidates.truncate(most - 1);
                    self.candidates.insert(place, Candidate { sum, successor: Successor { parent, token } });
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, Hypothesis { ids, sum }: Hypothesis) {
        let (answer, worth) = (Generated { ids, score: sum / self.n_tokens as f32 }, self.worth(sum));
        let place = self.finished.partition_point(|better| better.worth >= worth);
        self.finished.insert(place, Finished { answer, worth });
        self.finished.truncate(self.num_beams);
    }

    fn worth(&self, sum: f32) -> f32 {
        sum / (self.n_tokens as f32).powf(self.rules.config.length_penalty)
    }

    /// Whether going on could not give a better answer, as far as one looks.
    fn is_decided(&self) -> bool {
        let Some(worst) = self.finished.get(self.num_beams - 1) else { return false };
        let hope = self.live.first().map_or(f32::NEG_INFINITY, |best| self.worth(best.sum));
        self.rules.config.early_stopping || worst.worth >= hope
    }
}

impl Search for BeamSearch {
    fn advance(&mut self, logits: &[f32]) -> Result<&[Successor], RunError> {
        self.find_candidates(logits)?;
        self.n_tokens += 1;
        self.next.clear();
        let before = std::mem::take(&mut self.live);
        let candidates = std::mem::take(&mut self.candidates);
        for (rank, &Candidate { sum, successor }) in candidates.iter().enumerate() {
            let mut ids = before[successor.parent].ids.clone();
            if successor.token != self.rules.config.end_token {
                ids.push(successor.token);
                self.live.push(Hypothesis { ids, sum });
                self.next.push(successor);
            } else if rank < self.num_beams {
                self.finish(Hypothesis { ids, sum });
            }
            if self.live.len() == self.num_beams {
                break;
            }
        }
        self.candidates = candidates;
        if self.n_tokens == self.max_tokens {
            // As they are: a text that is cut off may still be the best there is.
            std::mem::take(&mut self.live).into_iter().for_each(|hypothesis| self.finish(hypothesis));
        }
        if self.finished.is_empty() && self.live.is_empty() {
            return Err(RunError::Failed("the model leaves no token to choose".into()));
        }
        let is_over = self.live.is_empty() || self.is_decided();
        Ok(if is_over { &[] } else { &self.next })
    }

    fn answer(&mut self) -> Generated {
        let finished = self.finished.drain(..).next();
        finished.map(|finished| finished.answer).unwrap_or_default()
    }
}
