//! Asks the experts of a plan, all at the same time. Never fails: every call has an outcome.
//!
//! ```text
//! run -> forward: cache -> ask_in_turn: planned version, substitutes -> call: deadline, throttle, gate
//!                                           -> attempts: pick, again? beside? -> attempt: breaker, load, connection
//! ```

mod about;
mod again;
mod attempt;
mod attempts;
mod call;
mod client;
mod decode;
mod fallback;
mod hedge;
mod pick;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use http::HeaderMap;
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_resilience::GlobalBudget;
use nanogrid_telemetry::metrics::CallStatus;
use tonic::Response;

pub use about::{ask_about, ask_endpoint};
pub use client::INSTRUCTION;
pub(crate) use client::{PREVIOUS_ATTEMPTS, addressed};
pub use decode::{Reply, Span, StageTimes, Typed};
pub use fallback::{Stand, StoodIn};

use crate::{
    cache::{Caches, Found, Question},
    error::CallError,
    fault::Faults,
    plan::Call,
    request::{MergePolicy, Request},
    shadow::Shadow,
};

/// What became of one call.
#[derive(Debug)]
pub struct Outcome {
    /// Who was asked for what.
    pub call: Call,
    /// What it answered.
    pub result: Result<Reply, CallError>,
    /// How it came to that.
    pub trail: Trail,
}

/// What became of a call, before anyone has looked into the answer.
#[derive(Debug)]
pub struct Attempted {
    /// The answer as it came.
    pub result: Result<Response<ModelInferResponse>, CallError>,
    /// How it came to that.
    pub trail: Trail,
}

/// How an outcome came about.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// Which version gave it; `None` when none was asked.
    pub version: Option<u32>,
    /// Which endpoint did; `None` when none was asked.
    pub endpoint: Option<Arc<str>>,
    /// Tries made, the successful one included.
    pub attempts: u32,
    /// A second endpoint was asked because the first was slower than most calls.
    pub is_hedged: bool,
    /// An equal call was answered before.
    pub is_cached: bool,
    /// Somebody else answered than was planned.
    pub fallback: Option<StoodIn>,
    /// From the decision to ask until the outcome.
    pub total: Duration,
}

impl Outcome {
    /// In one word.
    pub fn status(&self) -> CallStatus {
        self.result.as_ref().map_or_else(CallError::status, |_reply| CallStatus::Answered)
    }
}

/// Asks. Dropping the future ends every call on its way.
#[derive(Debug)]
pub struct Dispatch {
    max_message: usize,
    caches: Arc<Caches>,
    faults: Arc<Faults>,
    shadow: Arc<Shadow>,
    /// For second tries of all experts together.
    budget: GlobalBudget,
}

impl Dispatch {
    /// Reads answers of `max_message` bytes at most.
    pub fn new(max_message: usize, caches: Arc<Caches>, faults: Arc<Faults>, shadow: Arc<Shadow>) -> Self {
        Self { max_message, caches, faults, shadow, budget: GlobalBudget::new() }
    }

    /// One outcome for every call, in the same order.
    pub async fn run(&self, request: &Request, calls: &[Call]) -> Vec<Outcome> {
        let message = if calls.iter().any(|call| call.expert.reads_instructions) {
            client::message_with_instruction(request)
        } else {
            client::message(request)
        };
        let ask = async |(idx, call)| (idx, self.ask(request, call, &message).await);
        let mut asked: FuturesUnordered<_> = calls.iter().enumerate().map(ask).collect();
        let mut outcomes: Vec<Option<Outcome>> = calls.iter().map(|_| None).collect();
        while let Some((idx, outcome)) = asked.next().await {
            let is_enough = request.merge == MergePolicy::First && outcome.result.is_ok();
            outcomes[idx] = Some(outcome);
            if is_enough {
                break;
            }
        }
        // What still runs has lost: dropped, it is cancelled at the expert as well.
        drop(asked);
        let outcomes = outcomes.into_iter().zip(calls);
        outcomes.map(|(outcome, call)| outcome.unwrap_or_else(|| Outcome::cancelled(call))).collect()
    }

    async fn ask(&self, request: &Request, call: &Call, message: &ModelInferRequest) -> Outcome {
        let Attempted { result, trail } = self.forward(call, message, &request.forwarded).await;
        let result = result.and_then(|response| {
            decode::reply(call.expert.task, response.into_inner(), request).map_err(|reason| {
                self.caches.forget(question(call, message));
                call.expert.answered_nonsense(trail.version);
                CallError::Malformed { endpoint: trail.endpoint.clone().unwrap_or_default(), reason }
            })
        });
        Outcome { call: call.clone(), result, trail }
    }

    /// Sends `message` to the expert, as it is but for the name and the version of the model.
    pub async fn forward(&self, call: &Call, message: &ModelInferRequest, headers: &HeaderMap) -> Attempted {
        let ask = self.ask_in_turn(call, message, headers);
        if call.expert.policy.cache.is_none() {
            return ask.await;
        }
        match self.caches.get_or_ask(question(call, message), Box::pin(ask), worth_keeping).await {
            Found::Asked(attempted) => attempted,
            Found::Kept(answer) => Attempted {
                result: Ok(Response::new(*answer)),
                trail: Trail { version: Some(call.version().number), is_cached: true, ..Trail::default() },
            },
            Found::TooLate => {
                Attempted { result: Err(CallError::TimedOut { limit: call.limit }), trail: Trail::default() }
            }
        }
    }
}

fn question<'a>(call: &'a Call, message: &'a ModelInferRequest) -> Question<'a> {
    Question { expert: &call.expert, version: call.version(), message, deadline: call.deadline }
}

/// What stands in today is not the answer tomorrow.
fn worth_keeping(attempted: &Attempted) -> Option<&ModelInferResponse> {
    attempted.result.as_ref().ok().filter(|_| attempted.trail.fallback.is_none()).map(Response::get_ref)
}

impl Outcome {
    fn cancelled(call: &Call) -> Self {
        Self { call: call.clone(), result: Err(CallError::Cancelled), trail: Trail::default() }
    }
}
