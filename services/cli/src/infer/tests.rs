use nanogrid_proto::v1::{Label, Labels, Span, Spans};

use super::*;

fn answered(expert: &str, labels: &[(&str, f32)]) -> Outcome {
    let labels =
        labels.iter().map(|(label, score)| Label { label: (*label).to_owned(), score: *score }).collect();
    Outcome {
        expert: expert.to_owned(),
        version: "1".to_owned(),
        status: OutcomeStatus::Answered.into(),
        result: Some(Answer::Labels(Labels { labels })),
        ..Outcome::default()
    }
}

fn failed(expert: &str) -> (Outcome, Missing) {
    let outcome =
        Outcome { expert: expert.to_owned(), status: OutcomeStatus::Failed.into(), ..Outcome::default() };
    let missing = Missing {
        expert: expert.to_owned(),
        status: OutcomeStatus::Failed.into(),
        cause: "127.0.0.1:7003 is unreachable".to_owned(),
        retryable: true,
    };
    (outcome, missing)
}

fn plain(response: &InferResponse) -> String {
    anstream::adapter::strip_str(&render(response)).to_string()
}

#[test]
fn answers_stand_below_each_other_best_first() {
    let outcomes = vec![
        answered("intent", &[("transfer", 0.97), ("balance", 0.01)]),
        answered("language", &[("en", 0.99)]),
    ];
    let text = plain(&InferResponse { outcomes, complete: true, ..InferResponse::default() });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["intent", "transfer", "0.970", "v1"]);
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["balance", "0.010"]);
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["language", "en", "0.990", "v1"]);
}

#[test]
fn what_is_missing_is_said_with_its_cause_and_the_way_out() {
    let (outcome, missing) = failed("sentiment");
    let outcomes = vec![answered("intent", &[("transfer", 0.97)]), outcome];
    let response =
        InferResponse { outcomes, missing: vec![missing], complete: false, ..InferResponse::default() };
    let text = plain(&response);
    assert!(
        text.contains("missing: failed: 127.0.0.1:7003 is unreachable; may succeed if sent again"),
        "{text}"
    );
    assert_eq!(exit(&response), Exit::Partial);
}

#[test]
fn nobody_asked_is_an_exit_code_of_its_own() {
    let decision = Decision {
        verdict: Verdict::Abstain.into(),
        why: "nothing reached 0.5".to_owned(),
        ..Decision::default()
    };
    let response = InferResponse { decision: Some(decision), complete: true, ..InferResponse::default() };
    assert_eq!(exit(&response), Exit::NoExpert);
    assert_eq!(plain(&response), "no expert of this grid suits the request: nothing reached 0.5\n");
}

#[test]
fn an_answer_without_a_single_label_is_still_an_answer() {
    let response =
        InferResponse { outcomes: vec![answered("intent", &[])], complete: true, ..InferResponse::default() };
    assert!(plain(&response).contains("nothing found"));
    assert_eq!(exit(&response), Exit::Done);
}

#[test]
fn spans_stand_below_what_the_whole_text_is_each_with_its_place() {
    let span = Span { entity: "city".to_owned(), start: 11, end: 16, score: 0.98, text: "Paris".to_owned() };
    let label = Label { label: "GetWeather".to_owned(), score: 0.99 };
    let with = |spans, labels| Outcome {
        result: Some(Answer::Spans(Spans { spans, labels })),
        ..answered("command", &[])
    };
    let outcomes = vec![with(vec![span], vec![label]), with(Vec::new(), Vec::new())];
    let text = plain(&InferResponse { outcomes, complete: true, ..InferResponse::default() });
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["command", "GetWeather", "0.990", "v1"]);
    assert_eq!(lines[1], ["city:", "Paris", "(11..16)", "0.980"]);
    assert_eq!(lines[2], ["command", "nothing", "found", "v1"]);
}
