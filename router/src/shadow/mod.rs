//! Shadow traffic: copies of live calls to a version that nobody sees yet, compared answer with answer.
//!
//! ```text
//! client <- answer <- dispatch -- tap: watched? drawn? room? --> copy -> canary (or, one in ten, another stable endpoint)
//!                                        |                          `-> compare -> ledger -> take (rollouts)
//!                                        no: nothing happens                   `-> ring -> disagreements (people)
//! ```
//!
//! It must cost clients nothing: a tap neither waits nor locks, where nothing is watched it is one look at an empty map,
//! and when copies pile up further ones are dropped. Candidates are judged by pairs: the same request, once to the version
//! that is live and once to the candidate, so that whatever is hard about a request is so for both.

mod answer;
mod compare;
mod copy;
mod ring;
mod shortened;
mod subject;

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use http::{HeaderMap, HeaderName};
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_resilience::Verdict;
use nanogrid_rollout::{ALL, Seen, Split};
use nanogrid_serving::status::metadata;
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::{TraceId, metrics::RouterMetrics, trace_id};
use prost::Message;
use rand::seq::IteratorRandom;
use tracing::Span;

pub use ring::Disagreement;

use crate::{
    catalog::{Expert, Version},
    dispatch::addressed,
    endpoint::Endpoint,
    error::CallError,
};

use copy::{Asked, Copy, Twin};
use subject::Subject;

/// Copies calls of the experts that are watched.
#[derive(Debug)]
pub struct Shadow {
    /// Replaced whole: looked at on every call's way.
    watched: ArcSwap<HashMap<ExpertName, Arc<Watched>>>,
    /// Stays when nobody watches any more: people look afterwards.
    subjects: DashMap<ExpertName, Arc<Subject>>,
    keep_payload: bool,
    max_message: usize,
    metrics: RouterMetrics,
}

/// Which versions of an expert are compared, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watch {
    /// Whose live calls are copied.
    pub stable: u32,
    /// Who gets the copies.
    pub canary: u32,
    /// Of the live calls, 0 to 1.
    pub share: f64,
}

/// What copies have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Of both sides of each pair.
    pub seen: Seen,
    /// Answers of the candidate that are none, to requests that the live version answered; they are errors as well.
    pub invalid: u64,
}

/// A live call that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// Who was asked,
    pub expert: &'a Expert,
    /// in which version,
    pub version: &'a Version,
    /// what,
    pub message: &'a ModelInferRequest,
    /// and beside it.
    pub headers: &'a HeaderMap,
    /// What came of it.
    pub answer: Result<&'a ModelInferResponse, &'a CallError>,
    /// Where that came from.
    pub endpoint: Option<&'a str>,
    /// Tries, a hedge included.
    pub n_attempts: u32,
    /// One of the tries was a hedge.
    pub is_hedged: bool,
    /// Tries and all.
    pub took: Duration,
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    /// Copied or not.
    share: Split,
    /// To the canary or to the floor.
    floor: Split,
    subject: Arc<Subject>,
}

/// Basis points of the copies that go to another endpoint of the live version.
const FLOOR: u32 = ALL / 10;

const STICKY: HeaderName = HeaderName::from_static(metadata::STICKY);

impl Shadow {
    /// Nothing is watched yet. `keep_payload`: disagreements are kept with what clients sent.
    pub fn new(keep_payload: bool, max_message: usize, metrics: RouterMetrics) -> Self {
        Self { watched: ArcSwap::default(), subjects: DashMap::new(), keep_payload, max_message, metrics }
    }

    /// From now on calls to this expert are copied, or not any more.
    pub fn watch(&self, expert: &ExpertName, watch: Option<Watch>) {
        let subject = self.subject(expert);
        subject.watch(watch);
        let watched = watch.map(|watch| Arc::new(Watched::new(expert, watch, subject)));
        self.watched.rcu(|before| {
            let mut all = HashMap::clone(before);
            match &watched {
                Some(watched) => all.insert(expert.clone(), watched.clone()),
                None => all.remove(expert),
            };
            all
        });
    }

    /// From now on an answer is slow above this, on both sides; `None` = times are not looked at. Holds until it is changed.
    pub fn slow_above(&self, expert: &ExpertName, limit: Option<Duration>) {
        self.subject(expert).slow_above(limit);
    }

    /// What copies have shown since the last time, of the versions that are watched now.
    pub fn take(&self, expert: &ExpertName) -> Copies {
        self.subjects.get(expert).map_or_else(Copies::default, |subject| subject.take())
    }

    /// Answers that differed, newest first; `limit` 0 = all that are kept.
    pub fn disagreements(&self, expert: &ExpertName, limit: usize) -> Vec<Disagreement> {
        let limit = if limit == 0 { usize::MAX } else { limit };
        self.subjects.get(expert).map_or_else(Vec::new, |subject| subject.disagreements(limit))
    }

    /// A live call has ended: perhaps it is to be copied. Never waits.
    ///
    /// Of calls that failed, too: were only requests compared that the live version can answer, it would never err, and
    /// every candidate would look worse.
    pub fn tap(&self, live: &Live<'_>) {
        let watched = self.watched.load();
        let Some(watched) = watched.get(&live.expert.name) else { return };
        if live.version.number == watched.watch.stable {
            self.copy(live, watched);
        }
    }

    fn copy(&self, live: &Live<'_>, Watched { watch, share, floor, subject }: &Watched) {
        let Some(has_failed) = live.has_failed() else { return };
        let live_span = Span::current();
        let trace_id = trace_id(&live_span);
        let key = live.key(trace_id, subject);
        if share.pick(key.as_bytes()) == 0 {
            return;
        }
        let another = (floor.pick(key.as_bytes()) == 1).then(|| live.another()).flatten();
        let asked = if another.is_some() { Asked::Floor } else { Asked::Canary };
        let Some(endpoint) = another.or_else(|| live.candidate(watch.canary)) else {
            return subject.dropped();
        };
        let Some(places) = subject.room(live.message.encoded_len()) else { return };
        let copy = Copy {
            subject: subject.clone(),
            watch: *watch,
            asked,
            task: live.expert.task,
            message: addressed(live.message, &live.expert.name, endpoint.identity.version),
            endpoint: endpoint.clone(),
            headers: live.headers.clone(),
            twin: Twin {
                answer: live.answer.ok().cloned(),
                has_failed,
                is_hedged: live.is_hedged,
                took: live.took,
                trace_id,
            },
            span: copy::span(endpoint, asked, &live_span),
            max_message: self.max_message,
            keep_payload: self.keep_payload,
            places,
        };
        // Bounded by its places and by its own deadline; nothing is half-done when the router ends before it.
        tokio::spawn(copy.run());
    }

    fn subject(&self, expert: &ExpertName) -> Arc<Subject> {
        let new = || Arc::new(Subject::new(expert.clone(), self.metrics.shadow(expert.as_str())));
        self.subjects.entry(expert.clone()).or_insert_with(new).clone()
    }
}

impl Watched {
    fn new(expert: &ExpertName, watch: Watch, subject: Arc<Subject>) -> Self {
        // What is no number is no share.
        let part = (watch.share.clamp(0.0, 1.0) * f64::from(ALL)).round() as u32;
        let split = |salt: &str, part: u32| {
            // A salt of its own: who sees the canary and who is copied have nothing to do with each other.
            Split::try_new(&format!("{salt} of {expert}"), [ALL - part, part])
                .expect("two parts of the whole")
        };
        Self { watch, share: split("shadow", part), floor: split("floor", FLOOR), subject }
    }
}

impl Live<'_> {
    /// Did the first try fail, through the version's fault? `None` = it says nothing of the version.
    fn has_failed(&self) -> Option<bool> {
        let n_tries = self.n_attempts.saturating_sub(u32::from(self.is_hedged));
        match self.answer {
            Ok(_) => Some(n_tries > 1),
            Err(_) if n_tries == 0 => None,
            Err(error) => {
                let is_ample = self.version.pool.latency.p99().is_some_and(|p99| self.took >= 2 * p99);
                (error.verdict(is_ample) == Verdict::Failure).then_some(true)
            }
        }
    }

    /// What decides whether it is copied: equal keys share their fate. The trace, so that everybody can tell from its id;
    /// one trace may have many messages. Without either the sticky key does, and last the order of the calls.
    fn key(&self, trace_id: Option<TraceId>, subject: &Subject) -> String {
        let sticky = || self.headers.get(STICKY).and_then(|key| key.to_str().ok()).map(str::to_owned);
        match trace_id {
            Some(trace_id) => format!("{trace_id} {}", self.message.id),
            None => sticky().unwrap_or_else(|| subject.number().to_string()),
        }
    }

    /// An endpoint of the same version that did not answer this call.
    fn another(&self) -> Option<&Arc<Endpoint>> {
        let is_other = |endpoint: &&Arc<Endpoint>| {
            endpoint.is_ready() && Some(&*endpoint.identity.address) != self.endpoint
        };
        self.version.endpoints.iter().filter(is_other).choose(&mut rand::rng())
    }

    /// Any endpoint of this version of the expert.
    fn candidate(&self, number: u32) -> Option<&Arc<Endpoint>> {
        let version = self.expert.versions.iter().find(|version| version.number == number)?;
        version.endpoints.iter().filter(|endpoint| endpoint.is_ready()).choose(&mut rand::rng())
    }
}

#[cfg(test)]
mod tests;
