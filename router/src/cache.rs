//! Answers that need no expert: an equal question to an equal model has an equal answer.
//!
//! Off unless the grid file says otherwise, since only its author knows that an expert's answer depends on nothing but
//! its input. What is kept is bounded in bytes and in time. Of equal calls at the same time one asks and the others wait
//! for its answer; when it fails or leaves, the next one asks, each within its own deadline. Errors are never kept.
//!
//! Answers are kept encoded, in a buffer of their own: a decoded one would hold on to the whole frame that it came in, and
//! nobody could say how many bytes that is.

mod key;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dashmap::DashMap;
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_settings::{ExpertName, grid};
use nanogrid_telemetry::metrics::{CacheMetrics, CacheResult, RouterMetrics};
use prost::Message;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tokio::time::{Instant, timeout_at};

use crate::catalog::{Expert, Grid, Version};

use key::Key;

/// The response caches of all experts that have one. They outlive a reload of the grid file.
#[derive(Debug)]
pub struct Caches {
    stores: DashMap<ExpertName, Arc<Store>>,
    metrics: RouterMetrics,
}

/// A call as the cache sees it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its policy says whether answers are kept.
    pub expert: &'a Expert,
    /// The one that is asked.
    pub version: &'a Version,
    /// What it is asked.
    pub message: &'a ModelInferRequest,
    /// An answer is of no use after this.
    pub deadline: Instant,
}

/// Where an answer came from.
#[derive(Debug)]
pub enum Found<A> {
    /// From an equal call, earlier or at the same time. The expert did not see this one.
    Kept(Box<ModelInferResponse>),
    /// The expert was asked, and this became of it.
    Asked(A),
    /// An equal call was on its way, and had no answer before the deadline.
    TooLate,
}

/// The answers of one expert, all versions.
struct Store {
    answers: Cache<Key, Answer, Size>,
    metrics: CacheMetrics,
}

#[derive(Clone)]
struct Answer {
    message: Bytes,
    /// Stale from then on. Checked when it is read, on the clock of everything else here.
    until: Instant,
}

/// In bytes.
#[derive(Clone)]
struct Size;

/// What an answer takes beside its own bytes: its key, its place in the table and in the queue of eviction.
const OVERHEAD: usize = 160;

/// An answer with a handful of labels; only sizes the memory of what was evicted lately.
const USUAL_BYTES: usize = 512;

impl Weighter<Key, Answer> for Size {
    fn weight(&self, _key: &Key, answer: &Answer) -> u64 {
        (OVERHEAD + answer.message.len()) as u64
    }
}

impl Caches {
    /// Nothing is kept yet.
    pub fn new(metrics: RouterMetrics) -> Self {
        Self { stores: DashMap::new(), metrics }
    }

    /// The answer to an equal call when there is one, or else what becomes of `ask`.
    ///
    /// `answer` finds the answer worth keeping in what became of it; none is kept of an error. Waits for an equal call
    /// until the deadline and no longer; what `ask` may take is its own business. When the future is dropped, or `ask`
    /// gives no answer, a call that waits for this one asks itself.
    pub async fn get_or_ask<A>(
        &self,
        Question { expert, version, message, deadline }: Question<'_>,
        ask: impl Future<Output = A>,
        answer: impl FnOnce(&A) -> Option<&ModelInferResponse>,
    ) -> Found<A> {
        let Some(settings) = &expert.policy.cache else { return Found::Asked(ask.await) };
        let Some(key) = Key::of(version, message) else { return Found::Asked(ask.await) };
        let store = self.store(&expert.name, settings);
        if let Some(kept) = store.fresh(&key) {
            store.metrics.answered(CacheResult::Hit);
            return Found::Kept(Box::new(kept.to(message)));
        }
        let place = match timeout_at(deadline, store.answers.get_value_or_guard_async(&key)).await {
            Ok(Ok(shared)) => {
                store.metrics.answered(CacheResult::Shared);
                return Found::Kept(Box::new(shared.to(message)));
            }
            // Dropped without an answer, the place goes to the next who waits for it.
            Ok(Err(place)) => place,
            Err(_elapsed) => return Found::TooLate,
        };
        store.metrics.answered(CacheResult::Miss);
        let asked = ask.await;
        if let Some(answer) = answer(&asked) {
            // Refused when it is larger than the whole cache.
            let _ = place.insert(Answer::of(answer, settings.ttl));
            store.metrics.bytes(store.answers.weight());
        }
        Found::Asked(asked)
    }

    /// Lets go the answer to this, which has turned out to be none: nobody else shall get it.
    pub fn forget(&self, Question { expert, version, message, .. }: Question<'_>) {
        let key = expert.policy.cache.as_ref().and_then(|_settings| Key::of(version, message));
        if let Some(key) = key
            && let Some(store) = self.stores.get(&expert.name)
        {
            store.answers.remove(&key);
            store.metrics.bytes(store.answers.weight());
        }
    }

    /// Lets go the answers of experts that are not in `grid`, or keep no answers there.
    pub fn keep(&self, grid: &Grid) {
        self.stores.retain(|name, store| {
            let is_kept = grid.get(name.as_str()).is_some_and(|expert| expert.policy.cache.is_some());
            if !is_kept {
                store.metrics.bytes(0);
            }
            is_kept
        });
    }

    fn store(&self, name: &ExpertName, settings: &grid::Cache) -> Arc<Store> {
        let max_bytes = settings.max_bytes as u64;
        let store = self.stores.get(name).map(|store| store.clone());
        let store = store.unwrap_or_else(|| {
            let new = || Arc::new(Store::new(settings.max_bytes, self.metrics.cache(name.as_str())));
            self.stores.entry(name.clone()).or_insert_with(new).clone()
        });
        if store.answers.capacity() != max_bytes {
            store.answers.set_capacity(max_bytes);
        }
        store
    }
}

impl Store {
    fn new(max_bytes: usize, metrics: CacheMetrics) -> Self {
        let options = OptionsBuilder::new()
            // One, so that the bound is the one in the grid file and not a share of it per shard.
            .shards(1)
            .weight_capacity(max_bytes as u64)
            .estimated_items_capacity(max_bytes / (OVERHEAD + USUAL_BYTES) + 1)
            .build()
            .expect("both capacities are given");
        let answers =
            Cache::with_options(options, Size, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { answers, metrics }
    }

    fn fresh(&self, key: &Key) -> Option<Answer> {
        let answer = self.answers.get(key)?;
        let now = Instant::now();
        if now < answer.until {
            return Some(answer);
        }
        // Perhaps another call has put a fresh one there in the meantime.
        self.answers.remove_if(key, |answer| answer.until <= now);
        None
    }
}

impl Answer {
    fn of(answer: &ModelInferResponse, ttl: Duration) -> Self {
        let mut kept = answer.clone();
        kept.id.clear();
        // The time that someone else's answer took says nothing about whoever gets it from here.
        kept.parameters.retain(|name, _| !(name.starts_with("nanogrid_") && name.ends_with("_us")));
        Self { message: kept.encode_to_vec().into(), until: Instant::now() + ttl }
    }

    /// As the answer to this message.
    fn to(&self, message: &ModelInferRequest) -> ModelInferResponse {
        let answer = ModelInferResponse::decode(self.message.clone()).expect("we encoded it ourselves");
        ModelInferResponse { id: message.id.clone(), ..answer }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("answers", &self.answers.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
