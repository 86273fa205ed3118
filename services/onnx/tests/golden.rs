//! What the training side recorded for each model in the repository, asked again here: tokens equal, the best label
//! the same, scores close. It is the proof that Python's and Rust's tokenisers and ONNX Runtimes agree.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use nanogrid_onnx::{Inline, Package, Ranking, Text};
use serde::Deserialize;

/// Kernels differ between processors, and quantised ones round differently.
const TOLERANCE: f32 = 0.02;

#[derive(Deserialize)]
struct Golden {
    text: String,
    tokens: Vec<u32>,
    labels: Vec<String>,
    scores: Vec<f32>,
}

/// Every version folder with golden cases below `folder`.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut versions: Vec<_> = entries.filter(|path| path.join("golden.jsonl").is_file()).collect();
    versions.sort();
    versions
}

/// What is wrong with one case, if anything.
fn difference(golden: &Golden, text: &Text, model: &Inline, ranking: &Ranking) -> Option<String> {
    let tokens = match text.encode(&golden.text) {
        Ok(tokens) => tokens,
        Err(error) => return Some(error.to_string()),
    };
    if tokens.ids != golden.tokens {
        return Some(format!("tokens: expected {:?}, found {:?}", golden.tokens, tokens.ids));
    }
    let logits = match model.run(&tokens) {
        Ok(logits) => logits,
        Err(error) => return Some(error.to_string()),
    };
    let all = ranking.top(&logits, usize::MAX);
    if all.first().map(|best| best.label) != golden.labels.first().map(String::as_str) {
        return Some(format!("expected {} first, found {:?}", golden.labels[0], &all[..all.len().min(3)]));
    }
    // By label: among the rest, two that are nearly equal may change places.
    golden.labels.iter().zip(&golden.scores).find_map(|(label, expected)| {
        let found = all.iter().find(|scored| scored.label == label).map(|scored| scored.score);
        let close = found.is_some_and(|found| (found - expected).abs() <= TOLERANCE);
        (!close).then(|| format!("score of {label}: expected {expected}, found {found:?}"))
    })
}

fn check(version: &Path) -> Vec<String> {
    let package = Package::open(version).unwrap_or_else(|error| panic!("{error}"));
    let text = Text::load(&package).unwrap_or_else(|error| panic!("{error}"));
    let model = Inline::load(&package, NonZeroUsize::MIN).unwrap_or_else(|error| panic!("{error}"));
    let ranking = Ranking::new(&package);
    let lines = fs::read_to_string(version.join("golden.jsonl")).expect("found a moment ago");
    let goldens: Vec<Golden> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a golden case")).collect();
    assert!(goldens.len() >= 40, "{}: only {} golden cases", version.display(), goldens.len());
    goldens
        .iter()
        .filter_map(|golden| {
            let difference = difference(golden, &text, &model, &ranking)?;
            Some(format!("{}: {:?}: {difference}", version.display(), golden.text))
        })
        .collect()
}

#[test]
fn every_model_of_the_repository_answers_as_recorded() {
    nanogrid_onnx::init(None).unwrap_or_else(|error| panic!("{error}"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let experts = fs::read_dir(root.join("experts/catalog")).unwrap().flatten().map(|expert| expert.path());
    let mut folders: Vec<_> = experts.flat_map(|expert| versions(&expert)).collect();
    assert!(folders.len() >= 3, "the catalog has three experts at least, found {folders:?}");
    let classifiers = versions(&root.join("router/model"));
    assert!(!classifiers.is_empty(), "the router has a classifier");
    folders.extend(classifiers);
    let differences: Vec<_> = folders.iter().flat_map(|folder| check(folder)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
