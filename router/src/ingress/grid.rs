//! `nanogrid.v1.Grid`: the typed service.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use nanogrid_proto::v1::{self, grid_server};
use nanogrid_serving::status::metadata;
use nanogrid_telemetry::{
    metrics::{Answered, RouterStage, Verdict},
    propagation::sampled_trace_id,
    trace_id,
};
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, Span, field::Empty, info_span};

use super::{
    STREAM_WIDTH, as_message, tell,
    wire::{self, Envelope, Times},
};
use crate::{Router, error::Error, merge, plan::Plan, request};

/// The service.
#[derive(Clone, Debug)]
pub struct GridService {
    router: Arc<Router>,
}

impl GridService {
    /// Answers for `router`.
    pub fn new(router: Arc<Router>) -> Self {
        Self { router }
    }
}

#[tonic::async_trait]
impl grid_server::Grid for GridService {
    async fn infer(&self, request: Request<v1::InferRequest>) -> Result<Response<v1::InferResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let envelope = Envelope::read(&metadata, &extensions)?;
        let (reply, word) = self.router.infer(message, envelope).await?;
        let mut response = Response::new(reply);
        tell(response.metadata_mut(), metadata::DECISION, word);
        tell_answered(&mut response);
        Ok(response)
    }

    type InferStreamStream = Pin<Box<dyn Stream<Item = Result<v1::InferStreamResponse, Status>> + Send>>;

    async fn infer_stream(
        &self,
        request: Request<Streaming<v1::InferRequest>>,
    ) -> Result<Response<Self::InferStreamStream>, Status> {
        let (metadata, extensions, messages) = request.into_parts();
        let envelope = Envelope::read(&metadata, &extensions)?;
        let router = self.router.clone();
        let parent = Span::current();
        let answer = move |message: Result<v1::InferRequest, Status>| {
            let (router, envelope) = (router.clone(), envelope.clone());
            async move {
                // A stream that breaks cannot go on; a request that is wrong can be followed by a right one.
                let message = message?;
                let id = message.id.clone();
                let result = match router.infer(message, envelope).await {
                    Ok((reply, _word)) => v1::infer_stream_response::Result::Response(reply),
                    Err(error) => v1::infer_stream_response::Result::Error(as_message(error)),
                };
                Ok(v1::InferStreamResponse { id, result: Some(result) })
            }
            .instrument(info_span!(parent: &parent, "infer", nanogrid.criticality = Empty))
        };
        Ok(Response::new(messages.map(answer).buffer_unordered(STREAM_WIDTH).boxed()))
    }

    async fn route(&self, request: Request<v1::RouteRequest>) -> Result<Response<v1::RouteResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let envelope = Envelope::read(&metadata, &extensions)?;
        let message = message.request.ok_or_else(|| Error::invalid("request", "must be given"))?;
        let n_bytes = message.encoded_len();
        let mut stages = Stages::new(&self.router);
        let request = wire::request(message, envelope, &self.router.limits, stages.started)?;
        let _admitted = self.router.admit(request.criticality, n_bytes).map_err(Error::from)?;
        let plan = self.router.decide(&request, &mut stages)?;
        let mut response =
            Response::new(wire::route_reply(plan.decision.clone(), &plan.calls, stages.times()));
        tell(response.metadata_mut(), metadata::DECISION, plan.decision.verdict.as_str());
        Ok(response)
    }

    async fn list_experts(
        &self,
        _request: Request<v1::ListExpertsRequest>,
    ) -> Result<Response<v1::ListExpertsResponse>, Status> {
        let grid = self.router.catalog.now();
        let experts = grid.experts().map(|expert| wire::expert(expert)).collect();
        Ok(Response::new(v1::ListExpertsResponse { experts }))
    }

    async fn feedback(
        &self,
        request: Request<v1::FeedbackRequest>,
    ) -> Result<Response<v1::FeedbackResponse>, Status> {
        let message = request.into_inner();
        let (kind, version) = wire::feedback(&message)?;
        let grid = self.router.catalog.now();
        let expert = grid.expert(&message.expert)?;
        // Feedback that does not say which version answered is about the one that most requests see.
        let idx = match version {
            Some(number) => expert.version(request::VersionChoice::Number(number))?,
            None => expert.main_version(),
        };
        expert.versions[idx].calls.feedback(kind);
        tracing::debug!(id = message.id, expert = message.expert, kind = kind.as_str(), "feedback");
        Ok(Response::new(v1::FeedbackResponse {}))
    }
}

impl Router {
    /// The one way through. Also says the verdict in a word.
    async fn infer(
        &self,
        message: v1::InferRequest,
        envelope: Envelope,
    ) -> Result<(v1::InferResponse, &'static str), Error> {
        let n_bytes = message.encoded_len();
        let mut stages = Stages::new(self);
        let request = wire::request(message, envelope, &self.limits, stages.started)?;
        let _admitted = self.admit(request.criticality, n_bytes)?;
        let Plan { decision, calls } = self.decide(&request, &mut stages)?;
        // Each call has a limit of its own before that; this one holds whatever became of them.
        let dispatched = timeout_at(request.deadline, self.dispatch.run(&request, &calls)).await;
        let outcomes = dispatched.map_err(|_elapsed| Error::TooLate)?;
        stages.passed(RouterStage::Dispatch);
        if decision.verdict == Verdict::Escalate {
            let asked = outcomes.iter();
            asked.for_each(|outcome| self.escalated(&outcome.call.expert, outcome.result.as_ref().err()));
        }
        let answer = merge::answer(request.merge, outcomes);
        stages.passed(RouterStage::Merge);
        self.metrics.answered(match (answer.is_complete(), answer.missing.len() < answer.outcomes.len()) {
            (true, _) => Answered::Complete,
            (false, true) => Answered::Partial,
            (false, false) => Answered::Nothing,
        });
        let word = decision.verdict.as_str();
        let trace_id = trace_id(&Span::current()).map_or_else(String::new, |trace_id| trace_id.to_string());
        Ok((wire::reply(request.id, decision, answer, stages.times(), trace_id), word))
    }

    /// The first half of the way: whom to ask.
    pub(super) fn decide(&self, request: &request::Request, stages: &mut Stages) -> Result<Plan, Error> {
        let span = info_span!(
            "route",
            nanogrid.route.decision = Empty,
            nanogrid.route.confidence = Empty,
            nanogrid.route.set_size = Empty,
        );
        let _in_span = span.enter();
        let scores = self.classifier.score(request);
        stages.passed(RouterStage::Classify);
        let grid = self.catalog.now();
        let plan = crate::plan::make(request, &scores, &grid, &self.rules, Instant::now())?;
        stages.passed(RouterStage::Plan);
        let decision = &plan.decision;
        self.metrics.decided(decision.verdict, decision.decided_by);
        span.record("nanogrid.route.decision", decision.verdict.as_str());
        span.record("nanogrid.route.set_size", plan.calls.len());
        if let Some(best) = decision.candidates.first() {
            span.record("nanogrid.route.confidence", best.confidence);
        }
        Ok(plan)
    }
}

/// Takes the time of each stage, for the reply and for the metrics alike.
pub(super) struct Stages<'a> {
    pub(super) started: Instant,
    router: &'a Router,
    last: Instant,
    times: Times,
}

impl<'a> Stages<'a> {
    pub(super) fn new(router: &'a Router) -> Self {
        let now = Instant::now();
        Self { started: now, router, last: now, times: Times::default() }
    }

    pub(super) fn passed(&mut self, stage: RouterStage) {
        let now = Instant::now();
        let elapsed = now - self.last;
        self.last = now;
        *match stage {
            RouterStage::Classify => &mut self.times.classify,
            RouterStage::Plan => &mut self.times.plan,
            RouterStage::Dispatch => &mut self.times.dispatch,
            RouterStage::Merge => &mut self.times.merge,
        } = elapsed;
        self.router.metrics.passed(stage, elapsed, sampled_trace_id(&Span::current()));
    }

    fn times(&self) -> Times {
        Times { total: self.started.elapsed(), ..self.times }
    }
}

/// Which experts answered, in which version.
fn tell_answered(response: &mut Response<v1::InferResponse>) {
    let answered = |outcome: &&v1::Outcome| outcome.status == v1::OutcomeStatus::Answered as i32;
    let list = |of: fn(&v1::Outcome) -> &str| {
        let outcomes = response.get_ref().outcomes.iter().filter(answered);
        outcomes.map(of).collect::<Vec<_>>().join(",")
    };
    let (experts, versions) = (list(|outcome| &outcome.expert), list(|outcome| &outcome.version));
    if !experts.is_empty() {
        tell(response.metadata_mut(), metadata::EXPERT, &experts);
        tell(response.metadata_mut(), metadata::VERSION, &versions);
    }
}
