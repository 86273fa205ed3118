use super::*;
use crate::propagation::TraceId;

fn trace() -> Option<TraceId> {
    Some(TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736"))
}

/// Every kind of metric that an expert has, with something in it.
fn expert() -> Registry {
    let registry = Registry::new();
    let model = ExpertMetrics::new(&registry).model("intent", "1");
    let times = StageTimes { inference: Duration::from_nanos(22_600), ..StageTimes::default() };
    model.started().succeeded(3, &times, trace());
    model.executed(3);
    registry
}

/// Every kind of metric that a router has, with something in it.
fn router() -> Registry {
    let registry = Registry::new();
    let server = RpcMetrics::server(&registry, ["nanogrid.v1.Grid/Infer".to_owned()]);
    let client = RpcMetrics::client(&registry, ["inference.GRPCInferenceService/ModelInfer".to_owned()]);
    Panics::new(&registry).count();
    server.method("nanogrid.v1.Grid/Infer").record(0, Duration::from_micros(3100), trace());
    client.method("inference.GRPCInferenceService/ModelInfer").record(14, Duration::from_millis(7), None);

    let router = RouterMetrics::new(&registry);
    router.decided(Verdict::FanOut, DecidedBy::Classifier);
    router.passed(RouterStage::Classify, Duration::from_micros(80), trace());
    router.calls("intent", "1").ended(CallStatus::Answered, Duration::from_millis(2), trace());
    router.calls("intent", "1").feedback(FeedbackKind::Right);
    std::mem::forget(router.endpoint("intent", "1", "127.0.0.1:7001"));
    registry
}

#[track_caller]
fn holds(registry: &Registry, line: &str) {
    let text = registry.encode();
    assert!(text.lines().any(|found| found == line), "no line `{line}` in\n{text}");
}

#[test]
fn the_text_is_well_formed_and_every_family_stands_in_it_once() {
    for registry in [router(), expert()] {
        is_well_formed(&registry.encode());
    }
}

#[track_caller]
fn is_well_formed(text: &str) {
    assert!(text.ends_with("# EOF\n"));
    let mut families = std::collections::HashMap::new();
    let mut family = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(families.insert(name, kind).is_none(), "{name} twice");
            family = name;
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let suffixes: &[&str] = match families[family] {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.iter().any(|suffix| name == format!("{family}{suffix}")), "{line}");
            let (sample, _exemplar) = line.split_once(" # ").unwrap_or((line, ""));
            let value = sample.rsplit_once(' ').unwrap().1;
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn a_latency_bucket_leads_to_a_trace() {
    let text = router().encode();
    let bucket = text
        .lines()
        .find(|line| line.starts_with("rpc_server_call_duration_seconds_bucket") && line.contains(" # "))
        .expect("one bucket with an exemplar");
    assert!(bucket.contains(r#"le="0.004""#), "{bucket}");
    assert!(bucket.contains(r#"rpc_method="nanogrid.v1.Grid/Infer",rpc_status_code="OK""#), "{bucket}");
    assert!(bucket.contains(r#"# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.0031"#), "{bucket}");
}

#[test]
fn calls_without_a_sampled_trace_have_no_exemplar() {
    let text = router().encode();
    let client: Vec<_> =
        text.lines().filter(|line| line.starts_with("rpc_client_call_duration_seconds_bucket")).collect();
    assert!(!client.is_empty() && client.iter().all(|line| !line.contains(" # ")), "{client:?}");
}

#[test]
fn tritons_names_are_exact() {
    let registry = expert();
    holds(&registry, "# TYPE nv_inference_request_success unknown");
    holds(&registry, r#"nv_inference_request_success{model="intent",version="1"} 1"#);
    holds(&registry, r#"nv_inference_count{model="intent",version="1"} 3"#);
    holds(&registry, r#"nv_inference_exec_count{model="intent",version="1"} 1"#);
    holds(&registry, r#"nv_inference_compute_infer_duration_us{model="intent",version="1"} 23"#);
    holds(&registry, r#"nv_inference_request_failure{model="intent",version="1",reason="REJECTED"} 0"#);
}

#[test]
fn a_request_that_was_dropped_counts_as_cancelled_and_is_pending_no_more() {
    let registry = Registry::new();
    let model = ExpertMetrics::new(&registry).model("intent", "1");
    let dropped = model.started();
    let failed = model.started();
    holds(&registry, r#"nv_inference_pending_request_count{model="intent",version="1"} 2"#);
    drop(dropped);
    failed.failed(FailureReason::Backend);
    holds(&registry, r#"nv_inference_pending_request_count{model="intent",version="1"} 0"#);
    holds(&registry, r#"nv_inference_request_failure{model="intent",version="1",reason="CANCELED"} 1"#);
    holds(&registry, r#"nv_inference_request_failure{model="intent",version="1",reason="BACKEND"} 1"#);
}

#[test]
fn methods_a_client_thought_up_share_one_series() {
    let registry = Registry::new();
    let server = RpcMetrics::server(&registry, ["a.B/C".to_owned()]);
    for guess in ["a.B/D", "/../../etc/passwd", ""] {
        assert_eq!(server.method(guess).name(), "_OTHER");
        server.method(guess).record(12, Duration::ZERO, None);
    }
    holds(
        &registry,
        r#"rpc_server_call_duration_seconds_count{rpc_method="_OTHER",rpc_status_code="UNIMPLEMENTED"} 3"#,
    );
}

#[test]
fn codes_that_grpc_does_not_have_are_unknown() {
    let registry = Registry::new();
    let server = RpcMetrics::server(&registry, []);
    for code in [-1, 17, i32::MAX] {
        server.method("").record(code, Duration::ZERO, None);
    }
    holds(
        &registry,
        r#"rpc_server_call_duration_seconds_count{rpc_method="_OTHER",rpc_status_code="UNKNOWN"} 3"#,
    );
}

#[test]
fn in_flight_goes_down_again() {
    let registry = Registry::new();
    let server = RpcMetrics::server(&registry, ["a.B/C".to_owned()]);
    let call = server.method("a.B/C").started();
    holds(&registry, r#"nanogrid_rpc_server_in_flight{rpc_method="a.B/C"} 1"#);
    drop(call);
    holds(&registry, r#"nanogrid_rpc_server_in_flight{rpc_method="a.B/C"} 0"#);
}

#[test]
fn degraded_modes_are_counted_from_zero() {
    let registry = Registry::new();
    let router = RouterMetrics::new(&registry);
    holds(&registry, r#"nanogrid_classifier_unavailable_total{reason="too_late"} 0"#);
    holds(&registry, "nanogrid_grid_reload_refused_total 0");
    router.classifier_unavailable(ClassifierProblem::TooLate);
    router.reload_refused();
    router.grid_accepted(2);
    router.answered(Answered::Partial);
    holds(&registry, r#"nanogrid_classifier_unavailable_total{reason="too_late"} 1"#);
    holds(&registry, "nanogrid_grid_reload_refused_total 1");
    holds(&registry, "nanogrid_grid_generation 2");
    holds(&registry, r#"nanogrid_answers_total{answered="partial"} 1"#);
}

#[test]
fn an_endpoint_is_in_one_state_and_leaves_nothing_behind() {
    let registry = Registry::new();
    let router = RouterMetrics::new(&registry);
    let endpoint = router.endpoint("intent", "1", "127.0.0.1:7001");
    endpoint.set(EndpointState::Ready);
    let ready =
        r#"nanogrid_endpoint_state{expert="intent",version="1",endpoint="127.0.0.1:7001",state="ready"} 1"#;
    holds(&registry, ready);
    holds(&registry, &ready.replace("ready", "connecting").replace("} 1", "} 0"));
    let after_a_reload = router.endpoint("intent", "1", "127.0.0.1:7001");
    after_a_reload.set(EndpointState::Ready);
    drop(endpoint);
    holds(&registry, ready);
    drop(after_a_reload);
    assert!(!registry.encode().contains("nanogrid_endpoint_state{"));
}

#[test]
fn the_process_tells_its_memory_and_its_start() {
    let text = Registry::new().encode();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse::<f64>().unwrap()
    };
    assert!(value("process_resident_memory_bytes ") > 1e5);
    assert!(value("process_start_time_seconds ") > 1.7e9);
}
