use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{join_all, pending};
use nanogrid_proto::{
    inference::{
        InferParameter, InferTensorContents, infer_parameter::ParameterChoice,
        model_infer_request::InferInputTensor,
    },
    tensor::{Data, Tensor, set_inputs, set_outputs},
};
use nanogrid_settings::{Policy, Task};
use nanogrid_telemetry::metrics::Registry;
use tokio::time::{advance, sleep};

use super::*;

const TTL: Duration = Duration::from_secs(60);
/// The deadline of calls that are not about deadlines.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// An expert with a cache, asked by a closure.
struct Asked {
    caches: Caches,
    expert: Expert,
    registry: Registry,
    n_asked: AtomicUsize,
}

impl Asked {
    fn new(max_bytes: usize) -> Self {
        let registry = Registry::new();
        let metrics = RouterMetrics::new(&registry);
        let expert = Expert {
            policy: Policy { cache: Some(grid::Cache { max_bytes, ttl: TTL }), ..Policy::default() },
            ..Expert::of("intent", Task::TextClassification, &[(1, 10_000, None)])
        };
        Self { caches: Caches::new(metrics), expert, registry, n_asked: AtomicUsize::new(0) }
    }

    async fn ask(&self, message: &ModelInferRequest) -> Found<Result<ModelInferResponse, ()>> {
        self.ask_within(PATIENCE, message, async { Ok(answer("hello")) }).await
    }

    async fn ask_within(
        &self,
        limit: Duration,
        message: &ModelInferRequest,
        answer: impl Future<Output = Result<ModelInferResponse, ()>>,
    ) -> Found<Result<ModelInferResponse, ()>> {
        let ask = async {
            self.n_asked.fetch_add(1, Ordering::SeqCst);
            answer.await
        };
        let question = Question {
            expert: &self.expert,
            version: &self.expert.versions[0],
            message,
            deadline: Instant::now() + limit,
        };
        self.caches.get_or_ask(question, ask, |asked| asked.as_ref().ok()).await
    }

    fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::SeqCst)
    }

    #[track_caller]
    fn assert_counted(&self, result: &str, count: u64) {
        let line = format!("nanogrid_cache_total{{expert=\"intent\",result=\"{result}\"}} {count}");
        let metrics = self.registry.encode();
        assert!(metrics.contains(&line), "no `{line}` in:\n{metrics}");
    }
}

fn message(text: &str) -> ModelInferRequest {
    let mut message = ModelInferRequest { id: text.to_owned(), ..Default::default() };
    let data = Data::Bytes(vec![Bytes::copy_from_slice(text.as_bytes())]);
    set_inputs(&mut message, vec![Tensor { name: "text".to_owned(), shape: vec![1], data }]);
    message
}

fn with_parameter(mut message: ModelInferRequest, name: &str, value: i64) -> ModelInferRequest {
    let parameter = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(value)) };
    message.parameters.insert(name.to_owned(), parameter);
    message
}

fn answer(label: &str) -> ModelInferResponse {
    let mut answer = ModelInferResponse { id: "of someone else".to_owned(), ..Default::default() };
    let data = Data::Bytes(vec![Bytes::copy_from_slice(label.as_bytes())]);
    set_outputs(&mut answer, vec![Tensor { name: "label".to_owned(), shape: vec![1, 1], data }]);
    let parameter = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(250)) };
    answer.parameters.insert("nanogrid_inference_us".to_owned(), parameter);
    answer
}

#[track_caller]
fn kept<A: std::fmt::Debug>(found: Found<A>) -> ModelInferResponse {
    let Found::Kept(answer) = found else { panic!("not kept: {found:?}") };
    *answer
}

#[tokio::test(start_paused = true)]
async fn an_equal_call_is_answered_without_the_expert_until_the_answer_is_stale() {
    let asked = Asked::new(1 << 20);
    assert!(matches!(asked.ask(&message("hi")).await, Found::Asked(Ok(_))));
    let second = ModelInferRequest { id: "8".to_owned(), ..message("hi") };
    let answer = kept(asked.ask(&second).await);
    assert_eq!((answer.id.as_str(), answer.parameters.len()), ("8", 0), "its own id, nobody's times");
    assert_eq!(&answer.raw_output_contents[0][4..], b"hello");
    asked.assert_counted("hit", 1);

    advance(TTL).await;
    assert!(matches!(asked.ask(&message("hi")).await, Found::Asked(Ok(_))));
    assert_eq!(asked.n_asked(), 2);
    asked.assert_counted("miss", 2);
}

#[tokio::test(start_paused = true)]
async fn calls_that_differ_in_what_an_answer_depends_on_are_not_equal() {
    let asked = Asked::new(1 << 20);
    asked.ask(&message("hi")).await;
    let shaped = || {
        let mut message = message("hi");
        message.inputs[0].shape = vec![1, 1];
        message
    };
    for other in [message("ho"), with_parameter(message("hi"), "top_k", 2), shaped()] {
        assert!(matches!(asked.ask(&other).await, Found::Asked(_)), "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_form_of_the_tensors_makes_no_difference() {
    let asked = Asked::new(1 << 20);
    asked.ask(&message("hi")).await;
    let contents =
        InferTensorContents { bytes_contents: vec![Bytes::from_static(b"hi")], ..Default::default() };
    let input = InferInputTensor {
        name: "text".to_owned(),
        datatype: "BYTES".to_owned(),
        shape: vec![1],
        contents: Some(contents),
        ..Default::default()
    };
    kept(asked.ask(&ModelInferRequest { inputs: vec![input], ..Default::default() }).await);
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_sequence_are_never_kept() {
    let asked = Asked::new(1 << 20);
    for _ in 0..2 {
        let message = with_parameter(message("hi"), "sequence_id", 3);
        assert!(matches!(asked.ask(&message).await, Found::Asked(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn of_equal_calls_at_the_same_time_one_asks() {
    let asked = Asked::new(1 << 20);
    let message = message("hi");
    let slow = async || {
        sleep(Duration::from_millis(50)).await;
        Ok(answer("hello"))
    };
    let found = join_all((0..10).map(|_| asked.ask_within(PATIENCE, &message, slow()))).await;
    assert_eq!(found.into_iter().filter(|found| matches!(found, Found::Kept(_))).count(), 9);
    assert_eq!(asked.n_asked(), 1);
    asked.assert_counted("shared", 9);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_fails_is_followed_by_the_next_and_errors_are_not_kept() {
    let asked = Asked::new(1 << 20);
    let message = message("hi");
    let fail = async || {
        sleep(Duration::from_millis(10)).await;
        Err(())
    };
    let leader = asked.ask_within(PATIENCE, &message, fail());
    let follower = asked.ask_within(PATIENCE, &message, async { Ok(answer("hello")) });
    let (leader, follower) = tokio::join!(leader, follower);
    assert!(matches!(leader, Found::Asked(Err(()))), "{leader:?}");
    assert!(matches!(follower, Found::Asked(Ok(_))), "{follower:?}");
    kept(asked.ask(&message).await);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_is_followed_by_the_next() {
    let asked = Asked::new(1 << 20);
    let message = message("hi");
    let leader =
        tokio::time::timeout(Duration::from_millis(10), asked.ask_within(PATIENCE, &message, pending()));
    let (leader, follower) = tokio::join!(leader, asked.ask(&message));
    assert!(leader.is_err(), "dropped on its way");
    assert!(matches!(follower, Found::Asked(Ok(_))), "{follower:?}");
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_no_longer_than_its_own_deadline() {
    let asked = Asked::new(1 << 20);
    let message = message("hi");
    let started = Instant::now();
    let leader = asked.ask_within(PATIENCE, &message, async {
        sleep(Duration::from_secs(5)).await;
        Ok(answer("hello"))
    });
    let follower = async {
        let found = asked.ask_within(Duration::from_millis(20), &message, async { Err(()) }).await;
        (found, started.elapsed())
    };
    let (leader, (follower, waited)) = tokio::join!(leader, follower);
    assert!(matches!(follower, Found::TooLate), "{follower:?}");
    assert!(waited <= Duration::from_millis(22), "{waited:?}");
    assert!(matches!(leader, Found::Asked(Ok(_))), "nobody else's deadline is the leader's");
}

#[tokio::test(start_paused = true)]
async fn answers_take_no_more_bytes_than_the_grid_file_allows() {
    let max_bytes = 4_096;
    let asked = Asked::new(max_bytes);
    for text in 0..200 {
        asked.ask(&message(&text.to_string())).await;
        let store = asked.caches.stores.iter().next().expect("there is one");
        assert!(store.answers.weight() <= max_bytes as u64, "{}", store.answers.weight());
    }
    assert!(!asked.caches.stores.iter().next().expect("there is one").answers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_larger_than_the_cache_is_passed_on_and_not_kept() {
    let asked = Asked::new(64);
    for _ in 0..2 {
        assert!(matches!(asked.ask(&message("hi")).await, Found::Asked(Ok(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_experts_that_left_the_grid_are_let_go() {
    let asked = Asked::new(1 << 20);
    asked.ask(&message("hi")).await;
    asked.caches.keep(&Grid::default());
    assert!(asked.caches.stores.is_empty());
    let metrics = asked.registry.encode();
    assert!(metrics.contains("nanogrid_cache_bytes{expert=\"intent\"} 0"), "{metrics}");
}
