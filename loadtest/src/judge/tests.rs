use nanogrid_proto::tensor::Tensor;
use nanogrid_proto::v1::{Decision, Label, Labels, Missing, Spans, Text};

use super::*;
use crate::cases::Input;

fn case(expert: Option<&str>, expected: &[&str]) -> Case {
    let expected = expected.iter().map(|label| (*label).to_owned()).collect();
    let (input, expert) = (Input::Text("any".to_owned()), expert.map(str::to_owned));
    Case { input, expert, by_name: false, expected }
}

fn answered(expert: &str, label: &str) -> Outcome {
    let labels = vec![Label { label: label.to_owned(), score: 0.9 }];
    Outcome {
        expert: expert.to_owned(),
        status: OutcomeStatus::Answered.into(),
        result: Some(outcome::Result::Labels(Labels { labels })),
        ..Outcome::default()
    }
}

fn reply(outcomes: Vec<Outcome>) -> InferResponse {
    InferResponse { outcomes, ..InferResponse::default() }
}

#[track_caller]
fn check(case: &Case, response: &InferResponse, expected: &Verdict) {
    assert_eq!(grid(case, &[], response), *expected);
}

fn wrong(got: &str) -> Verdict {
    Verdict::Wrong { got: got.to_owned() }
}

fn missing(why: &str) -> Verdict {
    missing_of("intent", OutcomeStatus::Unspecified, why)
}

fn missing_of(expert: &str, status: OutcomeStatus, why: &str) -> Verdict {
    Verdict::Missing { expert: Some(expert.to_owned()), status, why: why.to_owned() }
}

/// As the router tells of an expert that gave no answer.
fn missing_part(expert: &str, cause: &str) -> Missing {
    let status = OutcomeStatus::Failed.into();
    Missing { expert: expert.to_owned(), cause: cause.to_owned(), status, ..Missing::default() }
}

#[test]
fn the_answer_of_the_inputs_own_expert_is_judged() {
    let response = reply(vec![answered("language", "en"), answered("intent", "transfer")]);
    check(&case(Some("intent"), &["transfer"]), &response, &Verdict::Right);
    check(&case(Some("intent"), &["balance", "transfer"]), &response, &Verdict::Right);
    check(&case(Some("intent"), &["balance"]), &response, &wrong("transfer"));
    check(&case(Some("intent"), &[]), &response, &Verdict::Unchecked);
    check(&case(None, &["en"]), &response, &Verdict::Right);
}

#[test]
fn generated_text_is_judged_too() {
    let text = outcome::Result::Text(Text { text: "guten Tag".to_owned(), score: -0.1 });
    let response = reply(vec![Outcome { result: Some(text), ..answered("translate-en-de", "") }]);
    check(&case(None, &["guten Tag"]), &response, &Verdict::Right);
}

#[test]
fn the_label_of_a_text_with_spans_is_judged() {
    let of_text = |labels| {
        let spans = outcome::Result::Spans(Spans { labels, ..Spans::default() });
        reply(vec![Outcome { result: Some(spans), ..answered("command", "") }])
    };
    let play = Label { label: "PlayMusic".to_owned(), score: 0.9 };
    check(&case(Some("command"), &["PlayMusic"]), &of_text(vec![play]), &Verdict::Right);
    let why = "the answer holds no label and no text";
    check(
        &case(Some("command"), &["PlayMusic"]),
        &of_text(Vec::new()),
        &missing_of("command", OutcomeStatus::Unspecified, why),
    );
}

#[test]
fn an_expert_that_gave_no_answer_is_missing_with_its_cause() {
    let failed = Outcome { status: OutcomeStatus::Failed.into(), ..answered("intent", "") };
    let part = missing_part("intent", "127.0.0.1:7001 is unreachable");
    let response = InferResponse { missing: vec![part], ..reply(vec![answered("language", "en"), failed]) };
    let why = "`intent`: 127.0.0.1:7001 is unreachable";
    let expected = missing_of("intent", OutcomeStatus::Failed, why);
    check(&case(Some("intent"), &["transfer"]), &response, &expected);
}

#[test]
fn an_expert_that_was_not_asked_is_missing() {
    let asked_another = reply(vec![answered("language", "en")]);
    check(
        &case(Some("intent"), &["transfer"]),
        &asked_another,
        &missing("not asked; asked were: `language`"),
    );
    let decision = Decision { why: "no expert suits it".to_owned(), ..Decision::default() };
    let abstained = InferResponse { decision: Some(decision), ..InferResponse::default() };
    check(&case(Some("intent"), &["transfer"]), &abstained, &missing("nobody was asked: no expert suits it"));
}

#[test]
fn an_expert_asked_beside_is_missed_by_its_own_name() {
    let beside = ["sentiment".to_owned()];
    let language = case(Some("language"), &["en"]);
    let both = reply(vec![answered("sentiment", "positive"), answered("language", "en")]);
    assert_eq!(grid(&language, &beside, &both), Verdict::Right);

    let failed = Outcome { status: OutcomeStatus::Failed.into(), ..answered("sentiment", "") };
    let part = missing_part("sentiment", "no endpoint");
    let without = InferResponse { missing: vec![part], ..reply(vec![failed, answered("language", "en")]) };
    assert_eq!(
        grid(&language, &beside, &without),
        missing_of("sentiment", OutcomeStatus::Failed, "`sentiment`: no endpoint")
    );
    let nobody = missing_of("language", OutcomeStatus::Unspecified, "nobody was asked");
    assert_eq!(grid(&language, &beside, &reply(Vec::new())), nobody);
}

fn oip_reply(name: &str, data: Data, shape: Vec<usize>) -> ModelInferResponse {
    let mut response =
        ModelInferResponse { model_name: "intent".to_owned(), ..ModelInferResponse::default() };
    tensor::set_outputs(&mut response, vec![Tensor { name: name.to_owned(), shape, data }]);
    response
}

#[test]
fn the_first_label_of_a_tensor_answer_is_judged() {
    let labels = || Data::Bytes(vec![Bytes::from_static(b"transfer"), Bytes::from_static(b"balance")]);
    let response = || oip_reply("label", labels(), vec![1, 2]);
    let intent = case(Some("intent"), &["transfer"]);
    assert_eq!(oip(&intent, response(), None), Verdict::Right);
    assert_eq!(oip(&case(Some("intent"), &["balance"]), response(), None), wrong("transfer"));
    assert_eq!(oip(&intent, response(), Some("topic".to_owned())), missing("answered by `topic`"));
}

#[test]
fn an_answer_without_labels_is_missing_and_a_broken_one_is_an_error() {
    let intent = case(Some("intent"), &["transfer"]);
    let no_label = oip_reply("embedding", Data::F32(vec![0.5]), vec![1, 1]);
    assert_eq!(oip(&intent, no_label, None), missing("the answer holds no label and no text"));
    let mut broken = oip_reply("label", Data::Bytes(vec![Bytes::from_static(b"transfer")]), vec![1, 1]);
    broken.outputs[0].shape = vec![7, 7];
    assert!(matches!(oip(&intent, broken, None), Verdict::Error { code: tonic::Code::DataLoss, .. }));
}
