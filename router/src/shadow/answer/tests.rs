use nanogrid_proto::tensor::{set_inputs, set_outputs};

use super::*;

fn response(outputs: Vec<(&str, Vec<usize>, Data)>) -> ModelInferResponse {
    let mut response = ModelInferResponse::default();
    let tensor =
        |(name, shape, data): (&str, Vec<usize>, Data)| Tensor { name: name.to_owned(), shape, data };
    set_outputs(&mut response, outputs.into_iter().map(tensor).collect());
    response
}

fn words(words: &[&str]) -> Data {
    Data::Bytes(words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect())
}

#[test]
fn every_row_is_read_as_what_its_task_says() {
    let labels = response(vec![
        ("label", vec![2, 2], words(&["a", "b", "c", "d"])),
        ("score", vec![2, 2], Data::F32(vec![0.9, 0.1, 0.8, 0.2])),
    ]);
    let rows = read(Task::TextClassification, labels).expect("labels");
    assert_eq!(rows[1], Row::Labels(vec![("c".into(), 0.8), ("d".into(), 0.2)]));
    assert_eq!((rows.len(), &*rows[0].to_text(false)), (2, "a 0.90, b 0.10"));

    let spans = response(vec![
        ("row", vec![1], Data::I32(vec![3])),
        ("entity", vec![1], words(&["PER"])),
        ("start", vec![1], Data::I32(vec![0])),
        ("end", vec![1], Data::I32(vec![5])),
        ("score", vec![1], Data::F32(vec![0.5])),
    ]);
    let rows = read(Task::TokenClassification, spans).expect("spans");
    let span = Span { row: 3, start: 0, end: 5, entity: "PER".into(), score: 0.5 };
    assert_eq!((rows[0].to_text(false), rows), ("PER 0..5".into(), vec![Row::Spans(vec![span])]));

    let texts =
        response(vec![("text", vec![2], words(&["eins ", ""])), ("score", vec![2], Data::F32(vec![0.0; 2]))]);
    assert_eq!(
        read(Task::TextToText, texts),
        Ok(vec![Row::Text("eins".to_owned()), Row::Text(String::new())])
    );

    let vectors = response(vec![("embedding", vec![2, 3], Data::F32(vec![1.0; 6]))]);
    assert_eq!(read(Task::Embedding, vectors), Ok(vec![Row::Vector(vec![1.0; 3]); 2]));
    let scores = response(vec![("anomaly", vec![1, 3], Data::F32(vec![1.0; 3]))]);
    assert_eq!(read(Task::Series, scores), Ok(vec![Row::Scores(vec![1.0; 3])]));
}

#[test]
fn what_the_whole_text_is_counts_as_one_more_span() {
    let of = |label: &str| {
        let answer = response(vec![
            ("entity", vec![0], words(&[])),
            ("start", vec![0], Data::I32(Vec::new())),
            ("end", vec![0], Data::I32(Vec::new())),
            ("score", vec![0], Data::F32(Vec::new())),
            ("label", vec![1, 2], words(&[label, "other"])),
            ("label_score", vec![1, 2], Data::F32(vec![0.9, 0.1])),
        ]);
        read(Task::TokenClassification, answer).expect("spans")
    };
    let whole = Span { row: 0, start: 0, end: 0, entity: "play".into(), score: 0.9 };
    assert_eq!(of("play"), vec![Row::Spans(vec![whole])]);
    assert_ne!(of("play"), of("book"));
}

#[test]
fn other_outputs_are_compared_as_what_they_are() {
    let only = response(vec![("label", vec![1, 1], words(&["a"]))]);
    let rows = read(Task::TextClassification, only).expect("a tensor");
    assert_eq!((rows.len(), &*rows[0].to_text(false)), (1, "label BYTES[1, 1]"));
    let ragged =
        response(vec![("label", vec![2], words(&["a", "b"])), ("score", vec![1], Data::F32(vec![0.9]))]);
    assert!(matches!(read(Task::TextClassification, ragged).expect("tensors")[..], [Row::Tensors(_)]));
}

#[test]
fn an_answer_that_is_none_says_why() {
    #[track_caller]
    fn check(task: Task, response: ModelInferResponse, why: &str) {
        let error = read(task, response).expect_err("no answer");
        assert!(error.contains(why), "{error}");
    }
    let not_a_number = f16::NAN.to_bits();
    for data in [
        Data::F32(vec![1.0, f32::NAN]),
        Data::F64(vec![f64::NAN]),
        Data::F16(vec![not_a_number]),
        Data::Bf16(vec![bf16::NAN.to_bits()]),
    ] {
        let response = response(vec![("y", vec![data.len()], data)]);
        check(Task::Tensor, response, "output `y` holds what is not a number");
    }
    let mut claims = response(vec![("y", vec![1], Data::F32(vec![1.0]))]);
    claims.outputs[0].shape = vec![1 << 40];
    check(Task::Tensor, claims, "y");
}

#[test]
fn what_a_client_said_in_other_words_is_quoted_only_where_that_may_be() {
    let row = Row::Text("ich überweise 200 Euro".to_owned());
    assert_eq!(&*row.to_text(false), "22 characters of text");
    assert_eq!(&*row.to_text(true), "ich überweise 200 Euro");
    let mut message = ModelInferRequest::default();
    set_inputs(&mut message, vec![Tensor { name: "text".to_owned(), shape: vec![1], data: words(&["hi"]) }]);
    assert_eq!(&*payload(message), "hi");
}

#[test]
fn lines_are_short_whatever_is_in_them() {
    let long = vec![("x".repeat(300).into(), 0.5); 300];
    let tensors = vec![Tensor { name: "y".repeat(900), shape: vec![0], data: Data::F32(Vec::new()) }];
    for row in [Row::Labels(long), Row::Vector(vec![0.5; 9_000]), Row::Tensors(tensors)] {
        assert!(row.to_text(true).len() <= super::super::shortened::LONGEST);
    }
}
