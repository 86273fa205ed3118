//! A real receiver on the other end of the wire. One test per file: a process has one tracer.

use std::time::Duration;

use nanogrid_telemetry::{Options, init, trace_id};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

struct Collector {
    received: mpsc::UnboundedSender<ExportTraceServiceRequest>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.received.send(request.into_inner()).expect("the test is still there");
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

// The exporter works on a thread of the SDK and on the runtime: one thread for all is the hard case.
#[tokio::test]
async fn spans_of_ours_reach_the_collector_on_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut received) = mpsc::unbounded_channel();
    let server = TraceServiceServer::new(Collector { received: sender });
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(server)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );

    // The log is off, and the traces are there all the same.
    let options = Options { otlp_endpoint: Some(endpoint), log: "off".to_owned(), ..Options::default() };
    let guard = init("nanogrid-test", "1.2.3", &options).unwrap();
    let trace = {
        let outer =
            tracing::info_span!(target: "nanogrid_test", "outer", otel.kind = "server", rpc.method = "a.B/C");
        outer.in_scope(|| {
            tracing::info_span!(target: "nanogrid_test", "inner").in_scope(|| {});
            tracing::info_span!(target: "hyper", "foreign").in_scope(|| {});
            tracing::debug_span!(target: "nanogrid_test", "detail").in_scope(|| {});
        });
        trace_id(&outer).unwrap().to_string()
    };
    guard.shutdown(Duration::from_secs(10)).await;

    let request = received.recv().await.unwrap();
    let of = &request.resource_spans[0];
    let resource = |name: &str| {
        let attribute =
            of.resource.as_ref().unwrap().attributes.iter().find(|at| at.key == name).expect(name);
        let Some(Value::StringValue(value)) = attribute.value.as_ref().and_then(|value| value.value.as_ref())
        else {
            panic!("{attribute:?} is no text");
        };
        value.clone()
    };
    assert_eq!(resource("service.name"), "nanogrid-test");
    assert_eq!(resource("service.namespace"), "nanogrid");
    assert_eq!(resource("service.version"), "1.2.3");
    assert_eq!(resource("service.instance.id").len(), 32);

    let spans: Vec<_> = of.scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["inner", "outer"]);
    let (inner, outer) = (spans[0], spans[1]);
    assert_eq!(inner.parent_span_id, outer.span_id);
    assert!(outer.attributes.iter().any(|attribute| attribute.key == "rpc.method"));
    let hex: String = outer.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, trace);
}
