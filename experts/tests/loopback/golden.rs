//! The experts of the catalog answer as they did where they were trained: same tokens, same labels, same scores.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use nanogrid_onnx::{Package, Text};
use nanogrid_proto::tensor::{Data, Tensor};
use serde_json::Value;

use crate::host::{infer, int, outputs, serve, strings, texts};

/// Sums in another order, and scores rounded to six decimals.
const TOLERANCE: f64 = 1e-3;

/// Cases of one version: `text`, `tokens`, and the best `labels` with their `scores`.
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
        let tokenizer = Text::load(&Package::open(&version).unwrap()).unwrap();
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
            let text = case["text"].as_str().unwrap();
            if text.trim().is_empty() {
                // Refused before it gets to a model.
                continue;
            }
            let mut message = texts(package.name.as_str(), &[text]);
            message.model_version = package.version.to_string();
            message.parameters.insert("top_k".into(), int(case["labels"].as_array().unwrap().len() as i64));
            let place = format!("{} {}: {text:?}", package.name, package.version);
            let answer =
                infer(&host.client, message).await.unwrap_or_else(|refused| panic!("{place}: {refused}"));
            check(&case, &outputs(answer), &place);
        }
    }
    host.stop().await;
}

#[track_caller]
fn check(case: &Value, outputs: &HashMap<String, Tensor>, place: &str) {
    let labels: Vec<String> = serde_json::from_value(case["labels"].clone()).unwrap();
    let scores: Vec<f64> = serde_json::from_value(case["scores"].clone()).unwrap();
    let found = strings(&outputs["label"]);
    let Data::F32(found_scores) = &outputs["score"].data else { panic!("{place}: scores are FP32") };
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
