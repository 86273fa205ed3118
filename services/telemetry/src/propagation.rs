//! The trace context on its way through gRPC metadata, as W3C `traceparent` and `tracestate`.
//!
//! Baggage is not carried on: it is a free way for strangers to put text into every call inside the grid.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A W3C trace id; prints as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(opentelemetry::TraceId);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Makes the span a child of the caller's, if the headers say whose.
///
/// Only before anything has asked for the span's own context: afterwards the parent is fixed.
pub fn set_parent(span: &Span, headers: &HeaderMap) {
    if !headers.contains_key(TRACEPARENT) {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    // Fails when no traces are recorded, or the span is disabled: then there is nothing to attach.
    let _ = span.set_parent(parent);
}

/// Writes the span's context into the headers of an outgoing call; nothing when the span is not traced.
pub fn inject(span: &Span, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut HeadersMut(headers));
}

/// The trace that the span belongs to; `None` when no traces are recorded.
pub fn trace_id(span: &Span) -> Option<TraceId> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceId(context.trace_id()))
}

/// As `trace_id`, for exemplars: `None` too when the trace was not sampled, for then nobody could look at it.
pub fn sampled_trace_id(span: &Span) -> Option<TraceId> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_sampled().then(|| TraceId(context.trace_id()))
}

const TRACEPARENT: &str = "traceparent";

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A `tracestate` taken from a stranger may hold what no header may: the trace goes on without it.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
impl TraceId {
    /// For tests that need one without a tracer.
    pub(crate) fn from_hex(hex: &str) -> Self {
        Self(opentelemetry::TraceId::from_hex(hex).unwrap())
    }
}

#[cfg(test)]
mod tests;
