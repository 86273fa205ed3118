//! Makes one answer of several outcomes. Pure. A part that is missing is data, not an error: who, why, and whether it is
//! worth asking again.

use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::CallStatus;

use crate::{dispatch::Outcome, request::MergePolicy};

/// What the client gets.
#[derive(Debug)]
pub struct Answer {
    /// One for every expert asked, in the order of the decision.
    pub outcomes: Vec<Outcome>,
    /// The experts asked that gave no answer.
    pub missing: Vec<Missing>,
}

/// A part of the answer that is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// Whose.
    pub expert: ExpertName,
    /// What became of the call.
    pub status: CallStatus,
    /// One sentence for people.
    pub cause: String,
    /// May the same request succeed if it is sent again soon?
    pub retryable: bool,
}

impl Answer {
    /// Every expert asked has answered.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Keeps what `policy` says.
pub fn answer(policy: MergePolicy, mut outcomes: Vec<Outcome>) -> Answer {
    let missing = outcomes.iter().filter_map(|outcome| {
        let error = outcome.result.as_ref().err()?;
        Some(Missing {
            expert: outcome.call.expert.name.clone(),
            status: error.status(),
            cause: error.to_string(),
            retryable: error.is_transient(),
        })
    });
    let missing = missing.collect();
    match policy {
        MergePolicy::All => {}
        // The dispatch has ended the others already.
        MergePolicy::First => {}
        MergePolicy::Best => keep_best(&mut outcomes),
    }
    Answer { outcomes, missing }
}

/// The others keep their outcome, so that the client sees who else was asked, and lose what they answered.
fn keep_best(outcomes: &mut [Outcome]) {
    let answered = outcomes.iter().enumerate().filter_map(|(idx, outcome)| {
        let confidence = outcome.result.as_ref().ok()?.confidence;
        // An expert may answer anything, and what is no number is no confidence.
        Some((idx, if confidence.is_nan() { f32::NEG_INFINITY } else { confidence }))
    });
    // Of equals the first, which the decision likes best.
    let best = answered.reduce(|best, next| if next.1 > best.1 { next } else { best });
    for (idx, outcome) in outcomes.iter_mut().enumerate() {
        if let Ok(reply) = &mut outcome.result
            && best.is_some_and(|(best, _)| best != idx)
        {
            reply.answer = None;
        }
    }
}

#[cfg(test)]
mod tests;
