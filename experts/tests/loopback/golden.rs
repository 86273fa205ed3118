//! The experts of the catalog answer as they did where they were trained: same tokens, same labels or texts, same scores.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use nanogrid_onnx::{Package, Text};
use nanogrid_proto::tensor::{Data, Tensor};
use serde_json::Value;

use crate::host::{images, infer, int, outputs, serve, strings, texts};

/// Processors sum in other orders. Mostly that is nothing, but now and then an activation rounds to its next int8 step, which has
/// moved a score by 0.0022 (recorded with AMX, asked again with AVX2).
const TOLERANCE: f64 = 5e-3;

/// Cases of one version: `image`, a path from its folder, or `text` and `tokens`; and the best `labels` with their `scores`,
/// or `spans`, or both, or the `output`, a text with its score.
fn cases(version: &Path) -> Vec<Value> {
    let text = fs::read_to_string(version.join("golden.jsonl")).expect("every version has golden cases");
    let cases: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    assert!(cases.len() >= 40, "{}: {} cases", version.display(), cases.len());
    cases
}

/// Every version in the catalog.
fn versions() -> Vec<PathBuf> {
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
    let folders =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let versions: Vec<_> = folders(&catalog)
        .iter()
        .filter(|expert| expert.is_dir())
        .flat_map(|expert| folders(expert))
        .filter(|version| version.join("version.toml").is_file())
        .collect();
    assert!(versions.len() >= 3, "the catalog has three experts or more: {versions:?}");
    versions
}

#[test]
fn texts_become_the_tokens_that_the_models_were_trained_on() {
    for version in versions() {
        let package = Package::open(&version).unwrap();
        if package.image_processor.is_some() {
            continue;
        }
        let tokenizer = Text::load(&package).unwrap();
        for case in cases(&version) {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_json::from_value(case["tokens"].clone()).unwrap();
            assert_eq!(tokenizer.encode(text).unwrap().ids, expected, "{}: {text:?}", version.display());
        }
    }
}

#[tokio::test]
async fn answers_are_those_of_the_training_side() {
    let versions = versions();
    let host = serve(&versions).await;
    for version in versions {
        let package = Package::open(&version).unwrap();
        for case in cases(&version) {
            let name = package.name.as_str();
            let (mut message, input) = match (case["text"].as_str(), case["image"].as_str()) {
                // Refused before it gets to a model.
                (Some(text), _) if text.trim().is_empty() => continue,
                (Some(text), _) => (texts(name, &[text]), text),
                (None, Some(image)) => (images(name, vec![fs::read(version.join(image)).unwrap()]), image),
                (None, None) => panic!("{}: neither a text nor an image: {case}", version.display()),
            };
            message.model_version = package.version.to_string();
            let n_labels = case["labels"].as_array().map_or(1, Vec::len);
            message.parameters.insert("top_k".into(), int(n_labels as i64));
            let place = format!("{} {}: {input:?}", package.name, package.version);
            let answer =
                infer(&host.client, message).await.unwrap_or_else(|refused| panic!("{place}: {refused}"));
            let outputs = outputs(answer);
            match (case["spans"].as_array(), case.get("output")) {
                (Some(spans), _) => check_spans(spans, &outputs, &place),
                (None, Some(output)) => check_text(output, &outputs, &place),
                (None, None) => check(&case, &outputs, "score", &place),
            }
            if outputs.contains_key("label_score") {
                check(&case, &outputs, "label_score", &place);
            }
        }
    }
    host.stop().await;
}

#[track_caller]
fn check(case: &Value, outputs: &HashMap<String, Tensor>, of_scores: &str, place: &str) {
    let labels: Vec<String> = serde_json::from_value(case["labels"].clone()).unwrap();
    let scores: Vec<f64> = serde_json::from_value(case["scores"].clone()).unwrap();
    let found = strings(&outputs["label"]);
    let Data::F32(found_scores) = &outputs[of_scores].data else { panic!("{place}: scores are FP32") };
    assert_eq!(found.len(), labels.len(), "{place}");
    for (i, score) in scores.iter().enumerate() {
        let found_score = f64::from(found_scores[i]);
        assert!((found_score - score).abs() < TOLERANCE, "{place}: {found_scores:?} for {scores:?}");
        // Labels that are as close as the tolerance may have changed places.
        let next = scores.get(i + 1).copied().unwrap_or(*score);
        let stands_out = score - next > TOLERANCE && (i == 0 || scores[i - 1] - score > TOLERANCE);
        assert!(found[i] == labels[i] || !stands_out, "{place}: {found:?} for {labels:?}");
    }
}

#[track_caller]
fn check_text(expected: &Value, outputs: &HashMap<String, Tensor>, place: &str) {
    assert_eq!(strings(&outputs["text"]), [expected["text"].as_str().unwrap()], "{place}");
    let Data::F32(scores) = &outputs["score"].data else { panic!("{place}: scores are FP32") };
    let (score, expected) = (f64::from(scores[0]), expected["score"].as_f64().unwrap());
    assert!((score - expected).abs() < TOLERANCE, "{place}: {score} for {expected}");
}

#[track_caller]
fn check_spans(expected: &[Value], outputs: &HashMap<String, Tensor>, place: &str) {
    let (Data::I32(starts), Data::I32(ends)) = (&outputs["start"].data, &outputs["end"].data) else {
        panic!("{place}: places are INT32")
    };
    let Data::F32(scores) = &outputs["score"].data else { panic!("{place}: scores are FP32") };
    let entities = strings(&outputs["entity"]);
    let found: Vec<_> = (0..entities.len()).map(|i| (entities[i].as_str(), starts[i], ends[i])).collect();
    let number = |span: &Value, key: &str| span[key].as_i64().unwrap() as i32;
    let expected_places: Vec<_> = expected
        .iter()
        .map(|span| (span["entity"].as_str().unwrap(), number(span, "start"), number(span, "end")))
        .collect();
    assert_eq!(found, expected_places, "{place}");
    for (span, score) in expected.iter().zip(scores) {
        let expected = span["score"].as_f64().unwrap();
        assert!((f64::from(*score) - expected).abs() < TOLERANCE, "{place}: {score} for {expected}");
    }
}
