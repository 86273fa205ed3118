//! A host on a loopback port, with packages on disk and a real client.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use nanogrid_experts::{Host, StartError};
use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse,
        grpc_inference_service_client::GrpcInferenceServiceClient, infer_parameter::ParameterChoice,
        model_infer_request::InferRequestedOutputTensor,
    },
    tensor::{self, Data, Tensor},
};
use nanogrid_settings::ExpertSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
    time::Instant,
};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

pub(crate) type Client = GrpcInferenceServiceClient<Channel>;

type PlainHttp = hyper_util::client::legacy::Client<HttpConnector, tonic::body::Body>;

/// A host that is ready.
pub(crate) struct Running {
    pub(crate) client: Client,
    pub(crate) channel: Channel,
    pub(crate) ops: SocketAddr,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), StartError>>,
}

/// Settings for tests: any port, no time spent on draining.
pub(crate) fn settings(packages: &[PathBuf]) -> ExpertSettings {
    let mut settings = ExpertSettings { packages: packages.to_vec(), ..ExpertSettings::default() };
    settings.server.listen.set_port(0);
    settings.server.ops.set_port(0);
    settings.server.drain.serve_on = std::time::Duration::ZERO;
    settings
}

pub(crate) async fn serve(packages: &[PathBuf]) -> Running {
    serve_with(&settings(packages)).await
}

/// Returns once the process calls itself ready.
pub(crate) async fn serve_with(settings: &ExpertSettings) -> Running {
    nanogrid_testkit::init_onnxruntime();
    let host = Host::bind(settings, Instant::now()).await.expect("any port is free");
    let (address, ops) = (host.local_addr(), host.ops_addr());
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(host.serve(async {
        let _ = stopped.await;
    }));
    let channel = nanogrid_serving::endpoint(&address.to_string()).unwrap().connect_lazy();
    wait_until(&channel, "", ServingStatus::Serving).await;
    let client = GrpcInferenceServiceClient::new(channel.clone()).max_decoding_message_size(64 << 20);
    Running { client, channel, ops, address, stop, served }
}

impl Running {
    /// tonic's own channel has a timer for `grpc-timeout`, and would answer for the server.
    pub(crate) fn client_without_timer(&self) -> GrpcInferenceServiceClient<PlainHttp> {
        let plain =
            hyper_util::client::legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let origin = format!("http://{}", self.address).parse().expect("an address is a URI");
        GrpcInferenceServiceClient::with_origin(plain, origin)
    }

    /// Stops, and expects that nothing went wrong.
    pub(crate) async fn stop(self) {
        let Self { client, channel, stop, served, .. } = self;
        drop((client, channel));
        stop.send(()).expect("it still runs");
        served.await.expect("no panic").expect("no error");
    }
}

/// Watches the health of a service until it is as wanted.
pub(crate) async fn wait_until(channel: &Channel, service: &str, wanted: ServingStatus) {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut changes =
        HealthClient::new(channel.clone()).watch(request).await.expect("health is served").into_inner();
    while let Some(change) = changes.message().await.expect("the stream goes on") {
        if change.status() == wanted {
            return;
        }
    }
    panic!("the watch of `{service}` ended");
}

/// A request for one expert with one row per text.
pub(crate) fn texts(expert: &str, texts: &[&str]) -> ModelInferRequest {
    let rows = texts.iter().map(|text| text.as_bytes().to_vec().into()).collect();
    request(expert, vec![Tensor { name: "text".into(), shape: vec![texts.len()], data: Data::Bytes(rows) }])
}

/// The same with one row per file of an image.
pub(crate) fn images(expert: &str, files: Vec<Vec<u8>>) -> ModelInferRequest {
    let shape = vec![files.len()];
    let data = Data::Bytes(files.into_iter().map(Into::into).collect());
    request(expert, vec![Tensor { name: "image".into(), shape, data }])
}

pub(crate) fn request(expert: &str, inputs: Vec<Tensor>) -> ModelInferRequest {
    let mut request = ModelInferRequest { model_name: expert.to_owned(), ..ModelInferRequest::default() };
    tensor::set_inputs(&mut request, inputs);
    request
}

pub(crate) fn int(value: i64) -> InferParameter {
    InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(value)) }
}

pub(crate) fn asked(name: &str, classification: Option<i64>) -> InferRequestedOutputTensor {
    let parameters: HashMap<_, _> =
        classification.map(|n| ("classification".to_owned(), int(n))).into_iter().collect();
    InferRequestedOutputTensor { name: name.to_owned(), parameters }
}

pub(crate) async fn infer(client: &Client, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
    client.clone().model_infer(request).await.map(tonic::Response::into_inner)
}

/// The outputs by name.
pub(crate) fn outputs(response: ModelInferResponse) -> HashMap<String, Tensor> {
    let outputs = tensor::outputs(response).expect("the answer holds what it says");
    outputs.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect()
}

/// Strings of a BYTES tensor.
pub(crate) fn strings(tensor: &Tensor) -> Vec<String> {
    let Data::Bytes(rows) = &tensor.data else { panic!("`{}` holds no text", tensor.name) };
    rows.iter().map(|row| String::from_utf8(row.to_vec()).expect("UTF-8")).collect()
}

/// Refused, with this code, and the message says all of this.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, says: &[&str]) {
    let status = answer.expect_err("it is to be refused");
    assert_eq!(status.code(), code, "{status:?}");
    for part in says {
        assert!(status.message().contains(part), "`{part}` is not in: {}", status.message());
    }
}

/// What the ops port says at `/metrics`.
pub(crate) async fn metrics(ops: SocketAddr) -> String {
    let mut connection = tokio::net::TcpStream::connect(ops).await.expect("the ops port is open");
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).await.unwrap();
    page
}
