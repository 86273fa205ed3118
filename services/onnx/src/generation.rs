//! Texts, token by token. Each row of a batch searches for its own answer; what they share is the model's step, which reads
//! the last token of every live hypothesis at once and remembers the rest.
//!
//! ```text
//! start tokens -> step -> logits -> each row: advance -> tokens of the next step, and whose memory each goes on with
//!                  ^                                                |
//!                  `------------------- select --------------------'
//! ```
//!
//! A row that is finished, or whose caller has left, is no part of the next step. Rows know nothing of each other, so an
//! answer does not depend on who shares its steps.

mod beam;
mod encoder_decoder;
mod greedy;
mod interface;
mod memory;
#[cfg(test)]
mod tests;

use nanogrid_settings::package::{GenerationConfig, NumBeams};

pub(crate) use self::encoder_decoder::EncoderDecoder;
use self::{beam::BeamSearch, greedy::Greedy};
use crate::{RunError, worker::Caller};

/// A text as the model gave it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generated {
    /// Its tokens, without the end token; may be none.
    pub ids: Vec<u32>,
    /// Mean log-probability of its tokens, the end token included where it was reached; 0 or less.
    pub score: f32,
}

/// A row to be answered.
pub(crate) struct Prompt<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) num_beams: NumBeams,
    pub(crate) caller: &'a Caller,
}

/// The model, between the first step and the last.
trait Decoder {
    /// Reads one more token of every live hypothesis; returns the logits of each, one after another.
    fn step(&mut self, tokens: &[i64]) -> Result<&[f32], RunError>;
    /// The hypotheses of the next step go on where these of the last have come to.
    fn select(&mut self, parents: &[usize]) -> Result<(), RunError>;
}

/// One row's way to an answer.
trait Search {
    /// Reads the logits of its live hypotheses, and returns those of the next step: which of the live ones each goes on from,
    /// and with which token. None = it is finished.
    ///
    /// # Errors
    /// When no choice can be made from these logits.
    fn advance(&mut self, logits: &[f32]) -> Result<&[Successor], RunError>;
    /// The best that was found.
    fn answer(&mut self) -> Generated;
}

/// How a hypothesis goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Successor {
    parent: usize,
    token: u32,
}

/// What all rows of a package have in common.
#[derive(Debug, Clone, Copy)]
struct Rules {
    config: GenerationConfig,
    n_vocabulary: usize,
}

/// A text of so many tokens is answered with at most so many: translations and corrections are about as long as what they
/// are made of, and a model that goes round in circles must not do so to its own limit.
fn max_tokens(config: &GenerationConfig, n_source: usize) -> usize {
    // The start token counts in Hugging Face's `max_length`, and is none of the answer's.
    (config.max_length - 1).min(n_source.saturating_mul(3).saturating_add(16))
}

/// A row that is not finished.
struct Live<'a> {
    row: usize,
    caller: &'a Caller,
    search: Box<dyn Search>,
    n_hypotheses: usize,
}

/// Answers every prompt, in their order. One that cannot be answered fails alone.
///
/// # Errors
/// When the model itself fails, or is stopped.
fn generate(
    decoder: &mut impl Decoder,
    rules: Rules,
    prompts: &[Prompt<'_>],
) -> Result<Vec<Result<Generated, RunError>>, RunError> {
    let mut answers: Vec<_> = prompts.iter().map(|_| Err(RunError::DeadlineExceeded)).collect();
    let mut live: Vec<Live<'_>> =
        prompts.iter().enumerate().map(|(row, prompt)| rules.begin(row, prompt)).collect();
    let mut tokens = vec![i64::from(rules.config.start_token); live.len()];
    let mut parents = Vec::with_capacity(live.len());
    while !live.is_empty() {
        let mut logits = decoder.step(&tokens)?;
        tokens.clear();
        parents.clear();
        let mut first = 0;
        live.retain_mut(|row| {
            let (own, others) = logits.split_at(row.n_hypotheses * rules.n_vocabulary);
            logits = others;
            let before = first;
            first += row.n_hypotheses;
            // Between two steps is soon enough: a step is short.
            if row.caller.has_left() {
                return false;
            }
            match row.search.advance(own) {
                Ok([]) => answers[row.row] = Ok(row.search.answer()),
                Ok(next) => {
                    row.n_hypotheses = next.len();
                    tokens.extend(next.iter().map(|next| i64::from(next.token)));
                    parents.extend(next.iter().map(|next| before + next.parent));
                    return true;
                }
                Err(error) => answers[row.row] = Err(error),
            }
            false
        });
        if !live.is_empty() {
            decoder.select(&parents)?;
        }
    }
    Ok(answers)
}

impl Rules {
    fn begin<'a>(self, row: usize, prompt: &Prompt<'a>) -> Live<'a> {
        let max_tokens = max_tokens(&self.config, prompt.ids.len());
        let search: Box<dyn Search> = match prompt.num_beams {
            NumBeams::GREEDY => Box::new(Greedy::new(self, max_tokens)),
            num_beams => Box::new(BeamSearch::new(self, num_beams, max_tokens)),
        };
        Live { row, caller: prompt.caller, search, n_hypotheses: 1 }
    }

    /// Padding and the start token are no part of any text. Some models use one of them to end a text.
    fn is_choice(&self, token: u32) -> bool {
        let GenerationConfig { start_token, end_token, pad_token, .. } = self.config;
        token == end_token || (token != start_token && token != pad_token)
    }
}

/// What to subtract from a logit for its log-probability.
///
/// # Errors
/// When a logit is not a number, or none is possible.
fn log_sum_exp(logits: &[f32]) -> Result<f32, RunError> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - highest).exp())).sum();
    let result = highest + sum.ln() as f32;
    match result.is_finite() {
        true => Ok(result),
        false => Err(RunError::Failed("the model gave a logit that is not a finite number".into())),
    }
}
