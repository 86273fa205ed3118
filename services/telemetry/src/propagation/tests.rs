use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traced<T>(sampler: Sampler, test: impl FnOnce() -> T) -> T {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), test)
}

fn parent_based() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::AlwaysOff))
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn the_context_goes_in_and_out_again() {
    let incoming = headers(&[
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "vendor=1"),
        ("baggage", "user=somebody"),
    ]);
    let mut outgoing = HeaderMap::new();
    traced(parent_based(), || {
        let span = info_span!("call");
        set_parent(&span, &incoming);
        inject(&span, &mut outgoing);
        assert_eq!(trace_id(&span).unwrap().to_string(), TRACE);
        assert_eq!(sampled_trace_id(&span).unwrap().to_string(), TRACE);
    });
    let parent = outgoing["traceparent"].to_str().unwrap();
    assert!(
        parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent.ends_with("-01"),
        "{parent}"
    );
    assert!(!parent.contains("00f067aa0ba902b7"), "the parent is this span, not the caller's: {parent}");
    assert_eq!(outgoing["tracestate"], "vendor=1");
    assert!(!outgoing.contains_key("baggage"), "foreign baggage ends here");
}

#[test]
fn a_caller_that_does_not_sample_is_followed() {
    let incoming = headers(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
    traced(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), || {
        let span = info_span!("call");
        set_parent(&span, &incoming);
        let mut outgoing = HeaderMap::new();
        inject(&span, &mut outgoing);
        assert!(outgoing["traceparent"].to_str().unwrap().ends_with("-00"));
        assert_eq!(trace_id(&span).unwrap().to_string(), TRACE);
        assert_eq!(sampled_trace_id(&span), None, "no exemplar for a trace that nobody keeps");
    });
}

#[test]
fn a_broken_context_begins_a_new_trace() {
    for broken in ["", "00", "00-zz-yy-01", "00-00000000000000000000000000000000-0000000000000000-01"] {
        traced(Sampler::AlwaysOn, || {
            let span = info_span!("call");
            set_parent(&span, &headers(&[("traceparent", broken)]));
            assert!(trace_id(&span).is_some(), "{broken}");
        });
    }
}

#[test]
fn spans_inside_belong_to_the_same_trace() {
    let incoming = headers(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
    traced(parent_based(), || {
        let outer = info_span!("call");
        set_parent(&outer, &incoming);
        let inner = outer.in_scope(|| info_span!("route"));
        assert_eq!(trace_id(&inner).unwrap().to_string(), TRACE);
    });
}

#[test]
fn without_a_tracer_nothing_is_written() {
    let span = info_span!("call");
    let mut outgoing = HeaderMap::new();
    inject(&span, &mut outgoing);
    assert!(outgoing.is_empty());
    assert_eq!(trace_id(&span), None);
}
