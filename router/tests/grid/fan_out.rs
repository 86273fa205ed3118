//! Several experts at once: whole answers, partial answers, merge policies.

use std::time::Duration;

use nanogrid_proto::v1::{InferOptions, InferResponse, MergePolicy, OutcomeStatus, Verdict};
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::support::*;

const ANSWERED: OutcomeStatus = OutcomeStatus::Answered;

async fn two() -> (ScriptedExpert, ScriptedExpert, Grid) {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let grid = Grid::start(&[entry("intent", &intent), entry("sentiment", &sentiment)]).await;
    (intent, sentiment, grid)
}

fn both() -> nanogrid_proto::v1::InferRequest {
    text_for(&["intent", "sentiment"])
}

fn merged(merge: MergePolicy) -> nanogrid_proto::v1::InferRequest {
    with_options(both(), InferOptions { merge: merge.into(), ..InferOptions::default() })
}

fn statuses(response: &InferResponse) -> Vec<OutcomeStatus> {
    response.outcomes.iter().map(|outcome| outcome.status()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_experts_give_both_answers() {
    let (intent, sentiment, grid) = two().await;
    let response = grid.client().infer(both()).await.unwrap();
    let metadata = response.metadata().clone();
    let response = response.into_inner();
    assert_eq!(label(&response, "intent"), "transfer");
    assert_eq!(label(&response, "sentiment"), "positive");
    assert!(response.complete && response.missing.is_empty());
    assert_eq!(response.id, "7");
    assert_eq!(response.decision.as_ref().unwrap().verdict(), Verdict::FanOut);
    assert_eq!((intent.n_calls(), sentiment.n_calls()), (1, 1));
    assert_eq!(metadata.get("x-nanogrid-decision").unwrap(), "fan_out");
    assert_eq!(metadata.get("x-nanogrid-expert").unwrap(), "intent,sentiment");
    assert_eq!(metadata.get("x-nanogrid-version").unwrap(), "1,1");
    let outcome = outcome_of(&response, "intent");
    assert_eq!((outcome.version.as_str(), outcome.task.as_str()), ("1", "text-classification"));
    assert_eq!((outcome.endpoint.as_str(), outcome.attempts), (intent.address().as_str(), 1));
    assert!((outcome.confidence - 0.9).abs() < 1e-6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_expert_costs_its_own_part_only() {
    let (mut intent, _sentiment, grid) = two().await;
    intent.kill();
    grid.until_ready("intent", false).await;
    let response = grid.infer(both()).await.unwrap();
    assert_eq!(label(&response, "sentiment"), "positive");
    let (expert, status, cause, retryable) = missing(&response);
    assert_eq!((expert, status, retryable), ("intent", OutcomeStatus::Failed, true));
    assert!(cause.contains(&intent.address()) && cause.contains("connecting"), "{cause}");
    assert!(!response.complete);
    assert_eq!(outcome_of(&response, "intent").attempts, 0, "nobody was there to ask");
    let metrics = metrics(&grid).await;
    assert_metric(&metrics, "nanogrid_outcomes_total", &["expert=\"intent\"", "status=\"failed\""], "1");
    assert_metric(&metrics, "nanogrid_answers_total", &["partial"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_that_dies_under_a_call_costs_its_own_part_only() {
    let (mut intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::hangs());
    let asked = tokio::spawn({
        let mut client = grid.client();
        async move { client.infer(both()).await }
    });
    eventually("the call arrives", || intent.n_calls() == 1).await;
    intent.kill();
    let response = asked.await.unwrap().unwrap().into_inner();
    assert_eq!(label(&response, "sentiment"), "positive");
    let (expert, status, cause, retryable) = missing(&response);
    assert_eq!((expert, status, retryable), ("intent", OutcomeStatus::Failed, true));
    assert!(cause.contains("unavailable"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_expert_times_out_before_the_deadline() {
    let (intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::hangs());
    // The reserve for the way back is a share of it: seconds, so that a busy machine does not eat it up.
    let limit = Duration::from_secs(2);
    let deadline = Some(limit.try_into().unwrap());
    let started = Instant::now();
    let response =
        grid.infer(with_options(both(), InferOptions { deadline, ..Default::default() })).await.unwrap();
    assert!(started.elapsed() < limit + Duration::from_millis(10), "{:?}", started.elapsed());
    assert_eq!(label(&response, "sentiment"), "positive");
    let (expert, status, cause, retryable) = missing(&response);
    assert_eq!((expert, status, retryable), ("intent", OutcomeStatus::TimedOut, true));
    assert!(cause.starts_with("no answer within "), "{cause}");
    assert_eq!(outcome_of(&response, "intent").error.as_ref().unwrap().code, Code::DeadlineExceeded as i32);
    eventually("the expert is told to stop", || intent.n_dropped() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_arrives_within_the_clients_own_timeout() {
    let (intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::hangs());
    let mut request = tonic::Request::new(both());
    // As above.
    request.set_timeout(Duration::from_secs(3));
    let response = grid.client().infer(request).await.expect("a reply, not a timeout").into_inner();
    assert_eq!(label(&response, "sentiment"), "positive");
    assert_eq!(missing(&response).1, OutcomeStatus::TimedOut);
    let timeout = intent.seen()[0].metadata.get("grpc-timeout").expect("the deadline is on the wire").clone();
    let timeout = timeout.to_str().unwrap();
    let (digits, unit) = timeout.split_at(timeout.len() - 1);
    let micros = digits.parse::<u64>().unwrap()
        * match unit {
            "n" => 0,
            "u" => 1,
            "m" => 1_000,
            _ => 1_000_000,
        };
    assert!(unit == "n" || micros <= 2_850_000, "shortened by the time spent and the reserve: {timeout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeout_of_an_expert_in_the_grid_file_holds() {
    let intent = labels("intent", "transfer");
    intent.behave(Behaviour::hangs());
    let grid = Grid::start(&[entry("intent", &intent).more("timeout = \"20ms\"")]).await;
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    assert_eq!(missing(&response), ("intent", OutcomeStatus::TimedOut, "no answer within 20ms", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_its_status() {
    let (intent, _sentiment, grid) = two().await;
    let mut not_mine = Status::failed_precondition("this is no intent");
    not_mine.metadata_mut().insert("x-nanogrid-not-mine", "1".parse().unwrap());
    let table = [
        (Status::resource_exhausted("queue full"), OutcomeStatus::Shed, true),
        (Status::internal("broken"), OutcomeStatus::Failed, true),
        (Status::unavailable("draining"), OutcomeStatus::Failed, true),
        (Status::invalid_argument("wrong shape"), OutcomeStatus::Failed, false),
        (Status::failed_precondition("no"), OutcomeStatus::Failed, false),
        (Status::deadline_exceeded("late"), OutcomeStatus::TimedOut, true),
        (not_mine, OutcomeStatus::Abstained, false),
    ];
    for (status, expected, retryable) in table {
        intent.behave(Behaviour::fails(status.clone()));
        let response = grid.infer(both()).await.unwrap();
        let (expert, actual, cause, actual_retryable) = missing(&response);
        assert_eq!(
            (expert, actual, actual_retryable),
            ("intent", expected, retryable),
            "{status:?}: {cause}"
        );
        assert_eq!(outcome_of(&response, "intent").error.as_ref().unwrap().code, status.code() as i32);
        if expected != OutcomeStatus::TimedOut {
            assert!(cause.contains(&intent.address()) && cause.contains(status.message()), "{cause}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_one_of_its_task_is_a_failure() {
    let (intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::tensors(Vec::new()));
    let response = grid.infer(both()).await.unwrap();
    let (_, status, cause, retryable) = missing(&response);
    assert_eq!((status, retryable), (OutcomeStatus::Failed, false));
    assert!(cause.contains("output `label` is missing"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_ends_the_calls_that_are_still_running() {
    let (intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::hangs());
    let response = grid.infer(merged(MergePolicy::First)).await.unwrap();
    assert_eq!(label(&response, "sentiment"), "positive");
    assert_eq!(statuses(&response), [OutcomeStatus::Cancelled, ANSWERED]);
    assert_eq!(missing(&response), ("intent", OutcomeStatus::Cancelled, "another answer came first", false));
    eventually("the loser is cancelled at the expert", || intent.n_dropped() == 1 || intent.n_calls() == 0)
        .await;
    assert_eq!(intent.n_answered(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_waits_for_an_answer_and_not_for_an_error() {
    let (intent, sentiment, grid) = two().await;
    intent.behave(Behaviour::fails(Status::internal("broken")));
    sentiment.behave(Behaviour::labels(&[("positive", 0.6)]).after(Duration::from_millis(50)));
    let response = grid.infer(merged(MergePolicy::First)).await.unwrap();
    assert_eq!(label(&response, "sentiment"), "positive");
    assert_eq!(statuses(&response), [OutcomeStatus::Failed, ANSWERED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn best_keeps_the_most_confident_answer() {
    let (intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::labels(&[("transfer", 0.5)]));
    let response = grid.infer(merged(MergePolicy::Best)).await.unwrap();
    assert_eq!(label(&response, "sentiment"), "positive");
    assert_eq!(statuses(&response), [ANSWERED, ANSWERED]);
    assert!(outcome_of(&response, "intent").result.is_none(), "the other one is not kept");
    assert!(response.complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn top_k_reaches_the_expert_and_bounds_the_labels() {
    let (intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::labels(&[("transfer", 0.7), ("balance", 0.2), ("oos", 0.1)]));
    let request = with_options(text_for(&["intent"]), InferOptions { top_k: 2, ..Default::default() });
    let response = grid.infer(request).await.unwrap();
    let Some(nanogrid_proto::v1::outcome::Result::Labels(labels)) = &outcome_of(&response, "intent").result
    else {
        panic!("no labels: {response:?}");
    };
    assert_eq!(
        labels.labels.iter().map(|label| label.label.as_str()).collect::<Vec<_>>(),
        ["transfer", "balance"]
    );
    assert!(intent.seen()[0].message.parameters.contains_key("top_k"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stage_times_of_the_expert_reach_the_client() {
    use nanogrid_proto::inference::{InferParameter, ModelInferResponse, infer_parameter::ParameterChoice};
    use nanogrid_proto::tensor::set_outputs;
    use nanogrid_testkit::expert::Reply;

    let (intent, _sentiment, grid) = two().await;
    let Reply::Tensors(tensors) = Behaviour::labels(&[("transfer", 0.7)]).reply else {
        panic!("labels are tensors")
    };
    let mut message = ModelInferResponse::default();
    set_outputs(&mut message, tensors);
    let inference = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(1_500)) };
    message.parameters.insert("nanogrid_inference_us".to_owned(), inference);
    intent.behave(Reply::Message(Box::new(message)).into());
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    let times = outcome_of(&response, "intent").times.unwrap();
    assert_eq!(times.inference, Some(Duration::from_micros(1_500).try_into().unwrap()));
    assert_eq!(times.queue, None, "what the expert does not tell is not there");
    assert!(times.total.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_to_the_experts_that_take_images() {
    let (intent, digits) = (
        labels("intent", "transfer"),
        ScriptedExpert::start(
            Profile::of("digits", 1, "image-classification"),
            Behaviour::labels(&[("7", 0.8)]),
        ),
    );
    let grid =
        Grid::start(&[entry("intent", &intent), entry("digits", &digits).task("image-classification")]).await;
    let image = nanogrid_proto::v1::infer_request::Payload::Image(bytes::Bytes::from_static(b"\x89PNG"));
    let request = nanogrid_proto::v1::InferRequest { payload: Some(image), ..Default::default() };
    let response = grid.infer(request).await.unwrap();
    assert_eq!(label(&response, "digits"), "7");
    let decision = response.decision.unwrap();
    assert_eq!(decision.verdict(), Verdict::Single);
    assert_eq!(decision.decided_by(), nanogrid_proto::v1::DecidedBy::Modality);
    assert_eq!(intent.n_calls(), 0);
    assert_eq!(digits.seen()[0].message.inputs[0].name, "image");
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_that_nobody_takes_is_an_abstention() {
    let (_intent, _sentiment, grid) = two().await;
    let audio = nanogrid_proto::v1::infer_request::Payload::Audio(bytes::Bytes::from_static(b"RIFF"));
    let request = nanogrid_proto::v1::InferRequest { payload: Some(audio), ..Default::default() };
    let response = grid.infer(request).await.unwrap();
    let decision = response.decision.unwrap();
    assert_eq!(decision.verdict(), Verdict::Abstain);
    assert_eq!(decision.why, "no expert of this grid takes audio");
    assert!(response.complete, "an abstention asks nobody");
}
