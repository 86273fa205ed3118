//! Clients: requests at a steady rate, whatever becomes of those before, and a record of each.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use nanogrid_proto::{
    inference::{ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient},
    tensor::{Data, Tensor, set_inputs},
    v1::{InferRequest, InferResponse, grid_client::GridClient, infer_request::Payload},
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Status, body::Body};
use tower::util::BoxCloneSyncService;

/// What a client saw of one request.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Since the start of the simulation.
    pub(crate) sent: Duration,
    pub(crate) took: Duration,
    /// What the client asked for.
    pub(crate) deadline: Duration,
    pub(crate) end: End,
}

#[derive(Clone, Debug)]
pub(crate) enum End {
    /// By every expert asked.
    Answered,
    /// A reply with parts missing: cause of each.
    Partial(Vec<String>),
    /// An error.
    Failed(Status),
    /// Neither reply nor status until long after the deadline.
    Nothing,
}

/// How requests come.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Between two of them.
    pub(crate) every: Duration,
    pub(crate) deadline: Duration,
    /// Asked by each request.
    pub(crate) experts: Vec<&'static str>,
}

/// Forty requests a second, with time for several tries.
pub(crate) fn steady(experts: &[&'static str]) -> Load {
    Load { every: Duration::from_millis(25), deadline: Duration::from_millis(500), experts: experts.to_vec() }
}

/// Shared by the simulated client and the test outside of it.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    pub(crate) records: Rc<RefCell<Vec<Record>>>,
    pub(crate) in_flight: Rc<Cell<usize>>,
    pub(crate) stopped: Rc<Cell<bool>>,
}

impl Record {
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.end, End::Answered)
    }
}

/// How long a client waits for a late reply before it counts as none.
const PATIENCE: Duration = Duration::from_secs(1);

/// HTTP/2 without tonic's channel, whose own timer would answer in the router's place.
type Plain = BoxCloneSyncService<http::Request<Body>, http::Response<hyper::body::Incoming>, hyper::Error>;

/// Sends requests until it is told to stop.
pub(crate) async fn run(router: &str, load: Load, recorder: Recorder) -> turmoil::Result {
    let client = connect(router).await?;
    let every = load.every;
    let mut n_sent = 0_u64;
    while !recorder.stopped.get() {
        let (client, load, recorder) = (client.clone(), load.clone(), recorder.clone());
        n_sent += 1;
        recorder.in_flight.set(recorder.in_flight.get() + 1);
        tokio::task::spawn_local(async move {
            let record = ask(client, &load, n_sent).await;
            recorder.records.borrow_mut().push(record);
            recorder.in_flight.set(recorder.in_flight.get() - 1);
        });
        sleep(every).await;
    }
    // A client that ends takes its machine with it, and whoever still waits there.
    while recorder.in_flight.get() > 0 {
        sleep(every).await;
    }
    Ok(())
}

async fn ask(client: Plain, load: &Load, number: u64) -> Record {
    let sent = turmoil::sim_elapsed().expect("inside a simulation");
    let started = Instant::now();
    let answer = async {
        // Every second one in the experts' own protocol, which knows one expert a request.
        match &load.experts[..] {
            [expert] if number.is_multiple_of(2) => pass_through(client, expert, load.deadline).await,
            experts => infer(client, experts, load.deadline).await,
        }
    };
    let end = timeout(load.deadline + PATIENCE, answer).await.unwrap_or(End::Nothing);
    Record { sent, took: started.elapsed(), deadline: load.deadline, end }
}

async fn infer(client: Plain, experts: &[&str], deadline: Duration) -> End {
    let message = InferRequest {
        payload: Some(Payload::Text("i need to move 200 dollars".to_owned())),
        experts: experts.iter().map(|name| (*name).to_owned()).collect(),
        ..InferRequest::default()
    };
    match GridClient::new(client).infer(within(deadline, message)).await {
        Ok(response) => end_of(response.into_inner()),
        Err(status) => End::Failed(status),
    }
}

fn end_of(response: InferResponse) -> End {
    let missing: Vec<String> =
        response.missing.iter().map(|missing| format!("{}: {}", missing.expert, missing.cause)).collect();
    assert_eq!(response.complete, missing.is_empty(), "{response:#?}");
    if response.complete { End::Answered } else { End::Partial(missing) }
}

async fn pass_through(client: Plain, expert: &str, deadline: Duration) -> End {
    let mut message = ModelInferRequest { model_name: expert.to_owned(), ..Default::default() };
    let data = Data::Bytes(vec![Bytes::from_static(b"i need to move 200 dollars")]);
    set_inputs(&mut message, vec![Tensor { name: "text".to_owned(), shape: vec![1], data }]);
    match GrpcInferenceServiceClient::new(client).model_infer(within(deadline, message)).await {
        Ok(_) => End::Answered,
        Err(status) => End::Failed(status),
    }
}

fn within<T>(deadline: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

async fn connect(address: &str) -> turmoil::Result<Plain> {
    let connection = turmoil::net::TcpStream::connect(address).await?;
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.timer(TokioTimer::new()).handshake(TokioIo::new(connection)).await?;
    tokio::task::spawn_local(connection);
    let origin = format!("http://{address}");
    Ok(BoxCloneSyncService::new(tower::service_fn(move |mut request: http::Request<Body>| {
        let mut sender = sender.clone();
        // Only the path comes from the generated client.
        let uri = format!("{origin}{}", request.uri().path());
        *request.uri_mut() = uri.parse().expect("a path of a generated client");
        async move { sender.send_request(request).await }
    })))
}
