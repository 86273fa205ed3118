//! What the balancers of tonic and tower do, and why the router has its own. Nothing of the router runs here: a test that
//! fails after an upgrade says that a reason has gone, or has become another one. `mesh/balance.rs` holds the router itself
//! to the opposite.

// A helper that unwraps fails the test that called it; clippy knows only the test functions themselves.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures::future::join_all;
use nanogrid_proto::inference::{
    ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
};
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tokio::time::{Instant, advance, sleep};
use tonic::transport::{Channel, Endpoint};
use tower::{
    Service, ServiceExt,
    load::{CompleteOnResponse, Load, PeakEwma},
    service_fn,
};

fn expert(delay: Duration) -> ScriptedExpert {
    let profile = Profile::of("intent", 1, "text-classification");
    ScriptedExpert::start(profile, Behaviour::labels(&[("transfer", 0.9)]).after(delay))
}

#[expect(clippy::disallowed_methods, reason = "the tests say why it is")]
fn balanced(experts: [&ScriptedExpert; 2]) -> GrpcInferenceServiceClient<Channel> {
    let endpoints =
        experts.map(|expert| Endpoint::from_shared(format!("http://{}", expert.address())).unwrap());
    GrpcInferenceServiceClient::new(Channel::balance_list(endpoints.into_iter()))
}

/// Asks so often; returns how many calls failed.
async fn ask(client: &GrpcInferenceServiceClient<Channel>, n_calls: usize) -> usize {
    let calls = (0..n_calls).map(|_| {
        let mut client = client.clone();
        async move { client.model_infer(ModelInferRequest::default()).await }
    });
    join_all(calls).await.into_iter().filter(Result::is_err).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn tonic_sends_a_slow_endpoint_as_much_as_a_fast_one() {
    let (fast, slow) = (expert(Duration::ZERO), expert(Duration::from_millis(50)));
    let client = balanced([&fast, &slow]);
    for _ in 0..20 {
        assert_eq!(ask(&client, 20).await, 0);
    }
    // With 400 fair coins, 140 or less on one side come up once in a billion.
    assert!(slow.n_calls() > 140, "{} of 400", slow.n_calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn tonic_counts_an_endpoint_that_nobody_listens_on_as_ready() {
    let (alive, mut dead) = (expert(Duration::ZERO), expert(Duration::ZERO));
    dead.kill();
    let client = balanced([&alive, &dead]);
    let mut n_failed = 0;
    for _ in 0..200 {
        n_failed += ask(&client, 1).await;
    }
    assert!(n_failed > 20, "{n_failed} of 200");
}

/// tower's balancers go by the load of this: the lower, the more it is picked.
type Balanced<S> = PeakEwma<S, CompleteOnResponse>;

fn balanced_service<S>(service: S, first_guess: Duration, decay: Duration) -> Balanced<S> {
    PeakEwma::new(service, first_guess, decay.as_nanos() as f64, CompleteOnResponse::default())
}

async fn call<S: Service<(), Response = (), Error = &'static str>>(service: &mut S) -> bool {
    service.ready().await.unwrap().call(()).await.is_ok()
}

const DECAY: Duration = Duration::from_secs(10);
const RTT: Duration = Duration::from_millis(2);

#[tokio::test(start_paused = true)]
async fn tower_prefers_an_endpoint_that_fails_fast() {
    let answers = service_fn(|()| async {
        sleep(RTT).await;
        Ok(())
    });
    let fails = service_fn(|()| async { Err("broken") });
    let (mut answers, mut fails) =
        (balanced_service(answers, RTT, DECAY), balanced_service(fails, RTT, DECAY));
    for _ in 0..1_000 {
        assert!(call(&mut answers).await);
        assert!(!call(&mut fails).await);
    }
    assert!(fails.load() < answers.load(), "{:?} and {:?}", fails.load(), answers.load());
}

#[tokio::test(start_paused = true)]
async fn tower_leaves_a_new_endpoint_without_calls_for_as_long_as_its_first_guess_decays() {
    let answers = service_fn(|()| async {
        sleep(RTT).await;
        Ok::<_, &'static str>(())
    });
    let mut old = balanced_service(answers, RTT, DECAY);
    // linkerd's first guess and decay, for an expert of two milliseconds.
    let new = balanced_service(answers, Duration::from_millis(30), DECAY);
    let started = Instant::now();
    while old.load() < new.load() {
        assert!(call(&mut old).await);
        advance(Duration::from_millis(98)).await;
    }
    assert!(started.elapsed() > Duration::from_secs(20), "{:?}", started.elapsed());
}
