//! Asks the experts of a plan, all at the same time. Never fails: every call has an outcome.

mod about;
mod call;
mod client;
mod decode;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use nanogrid_proto::inference::ModelInferRequest;
use nanogrid_telemetry::metrics::CallStatus;

pub use about::{ask_about, ask_endpoint};
pub use call::Attempted;
pub use decode::{Reply, Span, StageTimes, Typed};

use crate::{
    error::CallError,
    plan::Call,
    request::{MergePolicy, Request},
};

/// What became of one call.
#[derive(Debug)]
pub struct Outcome {
    /// Who was asked for what.
    pub call: Call,
    /// What it answered.
    pub result: Result<Reply, CallError>,
    /// Which endpoint gave this outcome; `None` when none was asked.
    pub endpoint: Option<Arc<str>>,
    /// Tries made, the successful one included.
    pub attempts: u32,
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
    /// Largest answer read, in bytes.
    pub max_message: usize,
}

impl Dispatch {
    /// One outcome for every call, in the same order.
    pub async fn run(&self, request: &Request, calls: &[Call]) -> Vec<Outcome> {
        let message = client::message(request);
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
        let Attempted { result, endpoint, attempts, total } =
            self.forward(call, message.clone(), &request.forwarded).await;
        let result = result.and_then(|response| {
            decode::reply(call.expert.task, response.into_inner(), request).map_err(|reason| {
                CallError::Malformed { endpoint: endpoint.clone().unwrap_or_default(), reason }
            })
        });
        Outcome { call: call.clone(), result, endpoint, attempts, total }
    }
}

impl Outcome {
    fn cancelled(call: &Call) -> Self {
        let result = Err(CallError::Cancelled);
        Self { call: call.clone(), result, endpoint: None, attempts: 0, total: Duration::ZERO }
    }
}
