//! One trace from the client to the model, with what was paid for. One test: a process has one tracer.

use std::time::Duration;

use nanogrid_telemetry::Options;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::{
    KEY, for_nobody, grid,
    stand_in::{Reply, StandIn},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).expect("the test is still there");
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// As text, whatever its type.
fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other @ (Value::BoolValue(_)
        | Value::DoubleValue(_)
        | Value::ArrayValue(_)
        | Value::KvlistValue(_)
        | Value::BytesValue(_)
        | Value::StringValueStrindex(_)) => format!("{other:?}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_client_goes_on_over_http_and_tells_what_was_paid_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut received) = mpsc::unbounded_channel();
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(Collector(sender)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let options =
        Options { otlp_endpoint: Some(collector), log: "off".to_owned(), sample: 1.0, ..Options::default() };
    let guard =
        nanogrid_telemetry::init("nanogrid-router", "0", &options).expect("the first in this process");

    let server = StandIn::start(Reply::text("a poem")).await;
    let (_intent, grid) = grid(&server, "").await;
    let mut request = Request::new(for_nobody());
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01").parse().unwrap());
    let response = grid.client().infer(request).await.unwrap().into_inner();
    assert_eq!(response.trace_id, TRACE);
    guard.shutdown(Duration::from_secs(10)).await;

    let mut spans = Vec::new();
    while let Ok(batch) = received.try_recv() {
        let scopes = batch.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let is_it = |span: &&Span| span.name == "chat large-1" && hex(&span.trace_id) == TRACE;
    let span = spans.iter().find(is_it).unwrap_or_else(|| panic!("no span of the call: {spans:#?}"));
    assert_eq!(span.kind(), SpanKind::Client);
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "large-1"),
        ("gen_ai.request.max_tokens", "256"),
        ("gen_ai.response.model", "large-1-of-today"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "3"),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(span, key).as_deref(), Some(value), "{key}: {span:#?}");
    }
    let parent = server.seen()[0].headers.get("traceparent").unwrap().to_str().unwrap().to_owned();
    assert_eq!(parent, format!("00-{TRACE}-{}-01", hex(&span.span_id)), "the server's part hangs below it");
    assert!(!format!("{spans:?}").contains(KEY));
}
