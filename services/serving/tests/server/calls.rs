use hyper_util::rt::TokioExecutor;
use nanogrid_proto::v1::{
    StatusRequest, control_client::ControlClient, expert_info_client::ExpertInfoClient,
};
use nanogrid_serving::endpoint;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_reflection::pb::{v1, v1alpha};

use super::support::{Running, SOON, info};

#[tokio::test]
async fn an_expired_grpc_timeout_is_deadline_exceeded_and_not_cancelled() {
    let server = Running::start(SOON).await;
    // Not tonic's channel: it has a timer too, and would answer for the server.
    let plain =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", server.grpc).parse().unwrap();
    let mut client = ExpertInfoClient::with_origin(plain, origin);
    // Often, because tonic's own timer around ours must never win.
    for _ in 0..20 {
        let status = client.get_info(info(60_000, Some("10m"))).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let left = client.get_info(info(0, Some("10S"))).await.unwrap().into_inner().start_up_us;
    assert!((9_000_000..10_000_000).contains(&left), "{left}");
    let status = client.get_info(info(0, Some("ten"))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn reflection_lists_what_is_served() {
    let server = Running::start(SOON).await;
    let list = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::iter([list])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(listed) = answer else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "nanogrid.v1.ExpertInfo",
        ]
    );

    let symbol = "nanogrid.v1.ExpertInfo".to_owned();
    let find = v1alpha::ServerReflectionRequest {
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            symbol,
        )),
        ..Default::default()
    };
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let mut answers = old.server_reflection_info(tokio_stream::iter([find])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    use v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse;
    assert!(matches!(answer, FileDescriptorResponse(_)), "{answer:?}");
}

#[tokio::test]
async fn the_ops_side_tells_metrics_liveness_and_what_is_not_ready() {
    let server = Running::start(SOON).await;
    server.health.set("intent", false);
    assert_eq!(server.get("/livez").await.0, 200);
    let (code, text) = server.get("/readyz").await;
    assert_eq!(code, 503);
    assert!(text.ends_with("not ready\nnot serving: intent\n"), "{text}");
    server.health.set("intent", true);
    assert_eq!(server.get("/readyz").await.0, 200);

    ExpertInfoClient::new(server.channel().await).get_info(info(0, None)).await.unwrap();
    let (code, text) = server.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(text.contains("content-type: application/openmetrics-text"), "{text}");
    let counted = r#"_count{rpc_method="nanogrid.v1.ExpertInfo/GetInfo",rpc_status_code="OK"} 1"#;
    assert!(text.contains(counted), "{text}");
    assert_eq!(server.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn a_trace_goes_through_the_server_and_leads_from_its_metrics() {
    let _guard = nanogrid_telemetry::init("nanogrid-test", "0", &nanogrid_telemetry::Options::default());
    let server = Running::start(SOON).await;
    let mut client = ExpertInfoClient::new(server.channel().await);
    let mut request = info(0, None);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    let answer = client.get_info(request).await.unwrap().into_inner();
    assert_eq!(answer.version, "4bf92f3577b34da6a3ce929d0e0e4736", "the handler runs in the call's span");
    let (_, text) = server.get("/metrics").await;
    assert!(text.contains(r#"# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"}"#), "{text}");
}

#[tokio::test]
async fn a_service_that_is_not_here_is_named() {
    let server = Running::start(SOON).await;
    let status = ControlClient::new(server.channel().await).status(StatusRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().ends_with("`/nanogrid.v1.Control/Status`"), "{status}");
}

#[tokio::test]
async fn grpc_is_answered_on_the_ops_port() {
    let server = Running::start(SOON).await;
    let channel = endpoint(&server.ops.to_string()).unwrap().connect().await.unwrap();
    ExpertInfoClient::new(channel).get_info(info(0, None)).await.unwrap();
}
