use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use hyper_util::rt::TokioIo;
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_proto::tensor::{self, Data, Tensor};
use nanogrid_proto::v1::OutcomeStatus;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use super::*;
use crate::call::{Api, Ask, Verdict};
use crate::cases::{Case, Input};

/// Answers `ModelInfer` as the text says: `slow` takes a second, `wrong` gets another label, `refuse` gets a status,
/// `other` is answered by another expert, `never` is not answered.
#[derive(Clone)]
struct Scripted;

impl NamedService for Scripted {
    const NAME: &'static str = "inference.GRPCInferenceService";
}

impl tower::Service<http::Request<Body>> for Scripted {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        async move { Ok(Grpc::new(tonic_prost::ProstCodec::default()).unary(service, request).await) }.boxed()
    }
}

impl UnaryService<ModelInferRequest> for Scripted {
    type Response = ModelInferResponse;
    type Future = BoxFuture<'static, Result<Response<ModelInferResponse>, Status>>;

    fn call(&mut self, request: Request<ModelInferRequest>) -> Self::Future {
        answer(request.into_inner()).boxed()
    }
}

async fn answer(request: ModelInferRequest) -> Result<Response<ModelInferResponse>, Status> {
    let mut model_name = request.model_name.clone();
    let inputs = tensor::inputs(request).expect("well-formed");
    let Data::Bytes(texts) = &inputs[0].data else { panic!("{:?}", inputs[0]) };
    let mut label = "right";
    match &texts[0][..] {
        b"slow" => tokio::time::sleep(Duration::from_secs(1)).await,
        b"never" => std::future::pending::<()>().await,
        b"refuse" => return Err(Status::resource_exhausted("full")),
        b"wrong" => label = "another",
        b"other" => model_name = "weather".to_owned(),
        _ => {}
    }
    let mut response = ModelInferResponse { model_name, ..ModelInferResponse::default() };
    let data = Data::Bytes(vec![Bytes::from_static(label.as_bytes())]);
    tensor::set_outputs(&mut response, vec![Tensor { name: "label".to_owned(), shape: vec![1, 1], data }]);
    Ok(Response::new(response))
}

/// A connection in memory: with real sockets, a paused clock would run ahead of the kernel.
async fn connect() -> Channel {
    let (client, server) = tokio::io::duplex(1 << 20);
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(server));
    tokio::spawn(Server::builder().add_service(Scripted).serve_with_incoming(incoming));
    let mut client = Some(TokioIo::new(client));
    let connector = tower::service_fn(move |_| {
        std::future::ready(client.take().ok_or_else(|| std::io::Error::other("one connection only")))
    });
    Endpoint::from_static("http://memory").connect_with_connector(connector).await.unwrap()
}

const CLOSED: Shape = Shape::Closed { concurrency: 1 };

fn open(rate: f64) -> Shape {
    Shape::Open { rate, arrivals: Distribution::Constant, max_in_flight: 100 }
}

fn case(text: &str) -> Case {
    let input = Input::Text(text.to_owned());
    Case { input, expert: Some("intent".to_owned()), by_name: false, expected: vec!["right".to_owned()] }
}

async fn run_until(shape: Shape, texts: &[&str], stop: &Stop) -> Run {
    let input = |text: &&str| Prepared::new(case(text), Api::Oip, &Ask::EachItsOwn);
    let load = Load {
        shape,
        warmup: Duration::from_secs(2),
        duration: Duration::from_secs(10),
        seed: 1,
        detail: Detail::Seconds,
    };
    let caller = Arc::new(Caller::over(vec![connect().await], Duration::from_secs(4)));
    super::run(&load, &Timer::Coarse, caller, texts.iter().map(input).collect(), stop).await
}

async fn run(shape: Shape, texts: &[&str]) -> Run {
    run_until(shape, texts, &Stop::default()).await
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_holds_its_rate_while_answers_are_slow() {
    let run = run(open(20.0), &["slow"]).await;
    let Record { counts, latencies, answers_in_window, .. } = run.record;
    assert_eq!((counts.due, counts.right, counts.failed()), (200, 200, 0));
    assert_eq!(answers_in_window, 200, "calls of the warm-up are answered inside, late ones outside");
    assert!((1_000_000..1_010_000).contains(&latencies.value_at_quantile(0.5)));
    assert_eq!(run.measured, Duration::from_secs(10));
    assert!(!run.interrupted);
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_counts_the_wait_before_sending_as_latency() {
    let recorder = Recorder::new(Instant::now()..Instant::now() + Duration::from_secs(10), Detail::Totals);
    let due = Instant::now();
    tokio::time::advance(Duration::from_secs(3)).await;
    let sent = recorder.sent(due);
    tokio::time::advance(Duration::from_secs(1)).await;
    recorder.ended(sent, &Verdict::Right, &case("any"));
    let record = recorder.finish();
    assert!((3_999_000..4_010_000).contains(&record.latencies.max()), "{}", record.latencies.max());
    assert!((2_999_000..3_010_000).contains(&record.lateness.max()), "{}", record.lateness.max());
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_waits_for_its_answers() {
    let run = run(Shape::Closed { concurrency: 3 }, &["slow"]).await;
    let counts = run.record.counts;
    assert!((29..=31).contains(&counts.due), "three callers, a second each, ten seconds: {}", counts.due);
    assert_eq!(counts.right, counts.due);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_trouble_is_counted_apart() {
    let run = run(open(50.0), &["fine", "wrong", "refuse", "other", "never"]).await;
    let Record { counts, latencies, examples, timeline, .. } = run.record;
    let errors = [("DEADLINE_EXCEEDED".to_owned(), 100), ("RESOURCE_EXHAUSTED".to_owned(), 100)];
    assert_eq!((counts.right, counts.wrong, counts.missing), (100, 100, 100));
    assert_eq!(counts.errors, errors.into());
    assert_eq!((counts.due, counts.failed(), counts.unfinished), (500, 300, 0));
    assert_eq!(latencies.len(), 400, "the refusals are not in it");
    assert!(latencies.max() >= 4_000_000, "the time-outs are");
    let shown = |kind: &str| examples.iter().find(|example| example.kind == kind).expect("shown").got.clone();
    assert_eq!(shown("wrong"), "another");
    assert_eq!(shown("missing"), "answered by `weather`");
    assert_eq!(shown("RESOURCE_EXHAUSTED"), "full");
    let due: Vec<u64> = timeline.iter().map(|second| second.counts.due).collect();
    assert_eq!(due, [50; 10]);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_of_open_ones_are_not_sent_but_counted() {
    let shape = Shape::Open { rate: 100.0, arrivals: Distribution::Constant, max_in_flight: 10 };
    let counts = run(shape, &["slow"]).await.record.counts;
    assert_eq!(counts.due, 1000);
    assert!((90..=110).contains(&counts.right), "ten a second: {}", counts.right);
    assert_eq!(counts.right + counts.not_sent, 1000);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_tells_what_it_has_seen() {
    let stop = Stop::default();
    let run = run_until(open(10.0), &["slow"], &stop);
    let (run, ()) = tokio::join!(run, after(Duration::from_millis(7500), &stop.now));
    assert!(run.interrupted);
    assert!((5.49..5.51).contains(&run.measured.as_secs_f64()), "{:?}", run.measured);
    let counts = run.record.counts;
    assert!((9..=11).contains(&counts.unfinished), "{counts:?}");
    assert_eq!(counts.due, counts.right + counts.unfinished);
}

async fn after(wait: Duration, cancel: &CancellationToken) {
    tokio::time::sleep(wait).await;
    cancel.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_seen_enough_waits_for_what_it_has_sent() {
    for shape in [open(10.0), CLOSED] {
        let stop = Stop::default();
        let run = run_until(shape, &["slow"], &stop);
        let (run, ()) = tokio::join!(run, after(Duration::from_millis(7500), &stop.enough));
        assert!(!run.interrupted);
        assert!((5.49..5.51).contains(&run.measured.as_secs_f64()), "{:?}", run.measured);
        let counts = run.record.counts;
        assert_eq!((counts.due, counts.unfinished), (counts.right, 0), "{shape:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_is_kept_when_asked_for() {
    let start = Instant::now();
    let recorder = Recorder::new(start..start + Duration::from_secs(10), Detail::Calls);
    let sent = recorder.sent(start);
    tokio::time::advance(Duration::from_secs(1)).await;
    let (expert, status) = (Some("intent".to_owned()), OutcomeStatus::Failed);
    recorder.ended(sent, &Verdict::Missing { expert, status, why: "gone".to_owned() }, &case("any"));
    recorder.not_sent(Instant::now());
    let calls = recorder.finish().calls;
    let failure = calls[0].failure.as_ref().expect("it failed");
    assert_eq!((failure.kind.as_str(), failure.expert.as_deref()), ("missing FAILED", Some("intent")));
    assert_eq!((calls[0].due, calls[0].ended), (Duration::ZERO, Duration::from_secs(1)));
    assert_eq!(calls[1].failure.as_ref().expect("it was not sent").kind, "not sent");
}

#[tokio::test(start_paused = true)]
async fn every_input_gets_its_share() {
    let counts = run(CLOSED, &["slow", "wrong", "slow", "wrong"]).await.record.counts;
    assert!(counts.right.abs_diff(counts.wrong) <= 1, "{counts:?}");
}
