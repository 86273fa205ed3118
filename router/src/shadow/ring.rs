//! The last disagreements of an expert's versions, for people to look at. Bounded in number, and in bytes since each piece
//! of text is: some hundred kilobytes per expert that was ever tried.

use std::{collections::VecDeque, time::SystemTime};

use nanogrid_telemetry::TraceId;

/// Two versions answered one request differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// When the second answer came.
    pub at: SystemTime,
    /// The version whose answer the client has.
    pub stable: u32,
    /// The one being tried.
    pub canary: u32,
    /// Shortened, for people.
    pub stable_answer: Box<str>,
    /// Shortened, for people.
    pub canary_answer: Box<str>,
    /// Above 0, at most 1.
    pub distance: f64,
    /// Of the live request, if it was traced.
    pub trace_id: Option<TraceId>,
    /// What the client sent, shortened; only where the settings allow it.
    pub payload: Option<Box<str>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Disagreement>);

const MOST: usize = 1_000;

impl Ring {
    pub(super) fn push(&mut self, disagreement: Disagreement) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(disagreement);
    }

    /// Newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<Disagreement> {
        self.0.iter().rev().take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_it_is_full() {
        let mut ring = Ring::default();
        for canary in 0..1_500 {
            ring.push(Disagreement {
                at: SystemTime::UNIX_EPOCH,
                stable: 1,
                canary,
                stable_answer: "a".into(),
                canary_answer: "b".into(),
                distance: 1.0,
                trace_id: None,
                payload: None,
            });
        }
        let newest: Vec<u32> = ring.newest(2).iter().map(|disagreement| disagreement.canary).collect();
        assert_eq!(newest, [1_499, 1_498]);
        assert_eq!(ring.newest(usize::MAX).len(), MOST);
    }
}
