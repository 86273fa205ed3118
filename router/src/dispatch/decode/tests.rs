use http::HeaderMap;
use nanogrid_proto::tensor::set_outputs;
use nanogrid_resilience::Criticality;
use tokio::time::Instant;

use super::*;
use crate::request::{MergePolicy, Split, SplitKey};

fn request(text: &str) -> Request {
    Request {
        id: String::new(),
        payload: Payload::Text(text.to_owned()),
        instruction: String::new(),
        experts: Vec::new(),
        max_experts: None,
        min_confidence: None,
        top_k: None,
        merge: MergePolicy::All,
        split: Split { version: None, key: SplitKey::Random(0) },
        criticality: Criticality::Critical,
        deadline: Instant::now(),
        forwarded: HeaderMap::new(),
    }
}

fn answer(entities: &[&str], starts: &[i32], ends: &[i32], labels: &[(&str, f32)]) -> ModelInferResponse {
    let bytes = |words: &[&str]| {
        Data::Bytes(words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect())
    };
    let mut outputs = vec![
        ("row", Data::I32(vec![0; entities.len()])),
        ("entity", bytes(entities)),
        ("start", Data::I32(starts.to_vec())),
        ("end", Data::I32(ends.to_vec())),
        ("score", Data::F32(vec![0.5; entities.len()])),
    ];
    if !labels.is_empty() {
        let (labels, scores): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
        outputs.extend([("label", bytes(&labels)), ("label_score", Data::F32(scores))]);
    }
    let tensor = |(name, data): (&str, Data)| Tensor { name: name.to_owned(), shape: vec![data.len()], data };
    let mut response = ModelInferResponse::default();
    set_outputs(&mut response, outputs.into_iter().map(tensor).collect());
    response
}

fn read(response: ModelInferResponse) -> Result<Reply, String> {
    reply(Task::TokenClassification, response, &request("to Zürich"))
}

#[test]
fn spans_come_with_the_text_that_they_are() {
    let found = read(answer(&["city"], &[3], &[10], &[])).unwrap();
    let city = Span { entity: "city".into(), start: 3, end: 10, score: 0.5, text: "Zürich".into() };
    assert_eq!(found.answer, Some(Typed::Spans { spans: vec![city], labels: Vec::new() }));
    assert_eq!(found.confidence, 0.5);
}

#[test]
fn none_at_all_are_an_answer_without_confidence() {
    let found = read(answer(&[], &[], &[], &[])).unwrap();
    assert_eq!(found.answer, Some(Typed::Spans { spans: Vec::new(), labels: Vec::new() }));
    assert_eq!(found.confidence, 0.0);
}

#[test]
fn an_expert_with_two_heads_is_as_sure_as_it_is_of_the_whole_text() {
    let found = read(answer(&[], &[], &[], &[("GetWeather", 0.9), ("PlayMusic", 0.1)])).unwrap();
    let labels = vec![("GetWeather".to_owned(), 0.9)];
    assert_eq!(found.answer, Some(Typed::Spans { spans: Vec::new(), labels }));
    assert_eq!(found.confidence, 0.9);
}

#[test]
fn spans_that_are_nowhere_in_the_text_are_no_answer() {
    for (start, end) in [(3, 11), (4, 5), (5, 10), (9, 3), (3, i32::MAX)] {
        let refused = read(answer(&["city"], &[start], &[end], &[]));
        assert!(refused.is_err(), "{start}..{end}");
    }
    assert!(read(answer(&["city"], &[-1], &[2], &[])).is_err());
    assert!(read(answer(&["city", "city"], &[0], &[2, 2], &[])).is_err());
}

#[test]
fn a_text_is_as_sure_as_its_usual_token() {
    let answer = |texts: &[&str], scores: &[f32]| {
        let texts = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
        let tensor = |name: &str, data: Data| Tensor { name: name.to_owned(), shape: vec![data.len()], data };
        let mut response = ModelInferResponse::default();
        set_outputs(
            &mut response,
            vec![tensor("text", Data::Bytes(texts)), tensor("score", Data::F32(scores.to_vec()))],
        );
        reply(Task::TextToText, response, &request("hello"))
    };
    let found = answer(&["hallo"], &[0.5_f32.ln()]).unwrap();
    assert_eq!(found.answer, Some(Typed::Text { text: "hallo".to_owned(), score: 0.5_f32.ln() }));
    assert!((found.confidence - 0.5).abs() < 1e-6);
    // To answer with nothing is an answer.
    assert_eq!(answer(&[""], &[0.0]).unwrap().answer, Some(Typed::Text { text: String::new(), score: 0.0 }));
    assert_eq!(answer(&[], &[]).unwrap_err(), "output `text` is empty");
}
