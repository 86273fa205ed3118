//! One try: one endpoint is asked, and what comes of it is told to everyone who learns from it.
//!
//! The future may be dropped at any moment: the call's client has left, or another endpoint was faster. Then its
//! [`Lesson`] is dropped, and says what can be said of an answer that nobody waited for.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nanogrid_proto::inference::ModelInferResponse;
use nanogrid_resilience::{
    Pending, Verdict,
    breaker::Permit,
    load,
    pick::{self, median},
};
use nanogrid_telemetry::{metrics::AttemptKind, names};
use tokio::time::Instant;
use tonic::Response;
use tracing::{Instrument, Span, field::Empty, info_span};

use super::{Dispatch, call::Leg, client, pick::Picked};
use crate::{
    endpoint::{Connection, Endpoint},
    error::{CallError, Pushback},
};

/// The `number`-th try of a call, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    pub(super) number: u32,
    pub(super) kind: AttemptKind,
}

/// As it came.
pub(super) type Answer = Result<Response<ModelInferResponse>, CallError>;

impl Dispatch {
    /// Asks `picked`. `is_overdue` may be set while it runs: from then on it speaks against the endpoint when nobody waits
    /// for its answer any more.
    pub(super) async fn attempt(
        &self,
        leg: &Leg<'_>,
        Picked { endpoint, connection, permit }: Picked<'_>,
        attempt: Try,
        is_overdue: &AtomicBool,
    ) -> Answer {
        leg.version.tries.attempted(attempt.kind);
        let span = match &connection {
            Connection::Grpc(_) => span(leg, endpoint, attempt),
            Connection::OpenAi(openai) => openai.span(attempt.number, attempt.kind.as_str()),
        };
        let mut lesson = Lesson::new(leg, endpoint, permit, is_overdue);
        let asked = leg.limit.within(async {
            let address = &endpoint.identity.address;
            if let Some(fault) = self.faults.before(&leg.expert.name) {
                let happened = fault.happen().await;
                happened.map_err(|status| CallError::of(status, address, leg.limit.whole, false))?;
            }
            match connection {
                Connection::Grpc(channel) => {
                    let request = client::request(leg.message(), leg.headers, attempt.number - 1, &span);
                    client::infer(channel, request, address, leg.limit, self.max_message).await
                }
                Connection::OpenAi(openai) => {
                    // Rare, and else every attempt would be as large.
                    let answered = Box::pin(openai.infer(leg.message(), &span)).await;
                    answered.map_err(|status| CallError::of(status, address, leg.limit.whole, false))
                }
            }
        });
        let answer = asked.instrument(span.clone()).await;
        lesson.learned(answer.as_ref().err());
        record(&span, &answer);
        answer
    }
}

/// What an attempt teaches, once.
struct Lesson<'a> {
    leg: &'a Leg<'a>,
    endpoint: &'a Endpoint,
    started: Instant,
    /// Until the answer, or the end of the call.
    given: Duration,
    is_overdue: &'a AtomicBool,
    held: Option<(Permit, Pending)>,
}

impl<'a> Lesson<'a> {
    fn new(leg: &'a Leg<'a>, endpoint: &'a Endpoint, permit: Permit, is_overdue: &'a AtomicBool) -> Self {
        let held = Some((permit, endpoint.history.load.start()));
        let given = leg.limit.left();
        Self { leg, endpoint, started: Instant::now(), given, is_overdue, held }
    }

    fn learned(&mut self, error: Option<&CallError>) {
        let Some((permit, pending)) = self.held.take() else { return };
        let (history, took) = (&self.endpoint.history, self.started.elapsed());
        let verdict = match error {
            None => {
                history.is_heard();
                history.latency.record(took);
                self.leg.version.pool.latency.record(took);
                pending.succeeded(took);
                Verdict::Success
            }
            Some(error) => {
                let verdict = self.verdict(error);
                match verdict {
                    Verdict::Failure | Verdict::Shed => pending.failed(self.penalty(error)),
                    // Its own "no" is quick, and no measure of how long it takes to answer.
                    Verdict::Success => drop(pending),
                    Verdict::Neutral => pending.left(took),
                }
                verdict
            }
        };
        self.tell_breaker(permit, verdict);
    }

    fn verdict(&self, error: &CallError) -> Verdict {
        let verdict = error.verdict(is_ample(self.endpoint, self.given));
        if verdict == Verdict::Shed {
            let now = Instant::now();
            self.endpoint.history.has_shed(now);
            // One that sheds beside others that do not is in trouble. When most of them do, the trouble is the load, and
            // to take endpoints away from it would make it worse for the rest.
            if self.leg.version.is_mostly_shedding(now) {
                return Verdict::Neutral;
            }
        }
        verdict
    }

    fn penalty(&self, error: &CallError) -> Duration {
        let ready = self.leg.version.endpoints.iter().filter(|endpoint| endpoint.is_ready());
        let usual = median(ready.map(|endpoint| endpoint.history.load.rtt()));
        let pushback = error.pushback().and_then(|pushback| match pushback {
            Pushback::After(wait) => Some(wait),
            Pushback::Never => None,
        });
        load::penalty(usual.unwrap_or_else(|| self.leg.version.pool.usual()), pushback)
    }

    fn tell_breaker(&self, permit: Permit, verdict: Verdict) {
        if let Some(transition) = permit.record(&self.leg.expert.breaker, verdict) {
            let ready = || self.leg.version.endpoints.iter().filter(|endpoint| endpoint.is_ready());
            let n_open = ready().filter(|endpoint| !endpoint.history.breaker.is_closed()).count();
            self.endpoint.breaker_changed(transition, pick::may_eject(ready().count(), n_open));
        }
    }
}

impl Drop for Lesson<'_> {
    fn drop(&mut self) {
        let Some((permit, pending)) = self.held.take() else { return };
        let waited = self.started.elapsed();
        if !self.is_overdue.load(Ordering::Relaxed) {
            pending.left(waited);
            return self.tell_breaker(permit, Verdict::Neutral);
        }
        // Whether it is unwell or only slow: others are faster, and get the calls. Just how slow it is nobody waited for.
        let penalty = self.penalty(&CallError::Cancelled);
        if is_ample(self.endpoint, waited) {
            pending.failed(penalty);
            self.tell_breaker(permit, Verdict::Failure);
        } else {
            pending.left(waited.max(penalty));
            self.tell_breaker(permit, Verdict::Neutral);
        }
    }
}

/// A nano model that has said nothing for this long is not well, whatever is known of its past.
const AMPLE: Duration = Duration::from_secs(1);

/// Was this enough time for the endpoint to answer, so that silence speaks against it?
///
/// Twice its p99, not once: the p99 is of the answers that were in time, so that with equally tight deadlines on every
/// call it lies just below the deadline, however long the answers that never came would have taken.
fn is_ample(endpoint: &Endpoint, given: Duration) -> bool {
    given >= endpoint.history.latency.p99().map_or(AMPLE, |p99| 2 * p99)
}

fn span(leg: &Leg<'_>, endpoint: &Endpoint, attempt: Try) -> Span {
    info_span!(
        "attempt",
        otel.name = "attempt",
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = client::METHOD,
        rpc.status_code = Empty,
        error.type = Empty,
        server.address = leg.expert.name.as_str(),
        network.peer.address = &*endpoint.identity.address,
        nanogrid.attempt = attempt.number,
        nanogrid.attempt.kind = attempt.kind.as_str(),
    )
}

/// How it ended, as the conventions for RPC have it: of a try and of a whole call alike.
pub(super) fn record(span: &Span, answer: &Answer) {
    let code = answer.as_ref().map_or_else(CallError::code, |_| tonic::Code::Ok);
    let code_name = names::status_code(code as i32);
    span.record(names::attribute::RPC_STATUS_CODE, code_name);
    if answer.is_err() {
        span.record(names::attribute::OTEL_STATUS_CODE, "error");
        span.record(names::attribute::ERROR_TYPE, code_name);
    }
}
