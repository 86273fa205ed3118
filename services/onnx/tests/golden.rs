//! What the training side recorded for each model in the repository, asked again here: tokens equal, the best label
//! the same, scores close. It is the proof that Python's and Rust's tokenisers and ONNX Runtimes agree.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy cannot see")]

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use nanogrid_onnx::{
    ImageLimits, ImageProcessor, Inline, Model, ModelOptions, Package, Ranking, Tagging, Text,
};
use nanogrid_settings::{Task, package::NumBeams};
use serde::Deserialize;

/// Kernels differ between processors, and quantised ones round differently.
const TOLERANCE: f32 = 0.02;

#[derive(Deserialize)]
struct Golden {
    #[serde(default)]
    text: String,
    #[serde(default)]
    tokens: Vec<u32>,
    /// Of an expert for images: the file, from the version's folder.
    image: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    scores: Vec<f32>,
    /// Of an expert that finds spans; what its format tells is found elsewhere, and is not looked at here.
    spans: Option<Vec<Span>>,
    /// Of an expert that answers with texts: what it answers, following as many hypotheses as its package says.
    output: Option<Output>,
}

#[derive(Deserialize)]
struct Output {
    text: String,
    score: f32,
}

#[derive(Deserialize)]
struct Span {
    entity: String,
    start: usize,
    end: usize,
    score: f32,
}

/// Every version folder with golden cases below `folder`.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut versions: Vec<_> = entries.filter(|path| path.join("golden.jsonl").is_file()).collect();
    versions.sort();
    versions
}

/// What is wrong with one case of a token classifier, if anything.
fn span_difference(
    golden: &Golden,
    expected: &[Span],
    text: &Text,
    model: &Inline,
    tagging: &Tagging,
) -> Option<String> {
    let worded = match text.encode_words(&golden.text) {
        Ok(worded) => worded,
        Err(error) => return Some(error.to_string()),
    };
    if worded.tokens.ids != golden.tokens {
        return Some(format!("tokens: expected {:?}, found {:?}", golden.tokens, worded.tokens.ids));
    }
    let logits = match model.run(&worded.tokens) {
        Ok(logits) => logits,
        Err(error) => return Some(error.to_string()),
    };
    let of_tokens = worded.tokens.ids.len() * tagging.n_labels();
    let found = tagging.spans(&logits[..of_tokens], &worded.words);
    expected.iter().filter(|span| span.score < 1.0).find_map(|span| {
        let is_there = found.iter().any(|found| {
            (found.entity, found.start, found.end) == (&span.entity, span.start, span.end)
                && (found.score - span.score).abs() <= TOLERANCE
        });
        (!is_there).then(|| format!("{} {}..{} is not among {found:?}", span.entity, span.start, span.end))
    })
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
    match model.run(&tokens) {
        Ok(logits) => label_difference(golden, &logits, ranking),
        Err(error) => Some(error.to_string()),
    }
}

fn load(package: &Package) -> Model {
    let options = ModelOptions {
        workers: NonZeroUsize::MIN,
        queue: NonZeroUsize::MIN,
        max_batch_rows: NonZeroUsize::MIN,
        max_batch_tokens: NonZeroUsize::MIN,
        max_batch_pixels: NonZeroUsize::MIN,
        intra_op_threads: NonZeroUsize::MIN,
    };
    Model::load(package, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong with the cases of a package that answers with texts.
fn check_generated(package: &Package, num_beams: NumBeams, goldens: &[Golden]) -> Vec<String> {
    let text = Text::load(package).unwrap_or_else(|error| panic!("{error}"));
    let model = load(package);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let difference = |golden: &Golden| {
        let expected = golden.output.as_ref().expect("a case of a text");
        let tokens = text.encode(&golden.text).unwrap_or_else(|error| panic!("{error}"));
        if tokens.ids != golden.tokens {
            return Some(format!("tokens: expected {:?}, found {:?}", golden.tokens, tokens.ids));
        }
        let generated =
            runtime.block_on(model.generate(vec![tokens], num_beams, None)).unwrap().texts.remove(0);
        let (found, score) = (text.decode(&generated.ids).unwrap(), generated.score);
        let fits = found == expected.text && (score - expected.score).abs() <= TOLERANCE;
        (!fits).then(|| format!("expected {:?} {}, found {found:?} {score}", expected.text, expected.score))
    };
    let named = |golden: &Golden| {
        difference(golden).map(|said| format!("{}: {:?}: {said}", package.folder.display(), golden.text))
    };
    goldens.iter().filter_map(named).collect()
}

/// What is wrong with the cases of a package for images.
fn check_images(package: &Package, goldens: &[Golden]) -> Vec<String> {
    let limits = ImageLimits {
        max_bytes: NonZeroUsize::new(16 << 20).unwrap(),
        max_pixels: NonZeroUsize::new(16 << 20).unwrap(),
    };
    let processor = ImageProcessor::new(package.image_processor.unwrap(), limits);
    let model = load(package);
    let ranking = Ranking::new(package);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let difference = |golden: &Golden| {
        let image = golden.image.as_ref().expect("a case of an image");
        let file = fs::read(package.folder.join(image)).unwrap_or_else(|error| panic!("{image}: {error}"));
        let pixels = processor.process(&file).unwrap_or_else(|error| panic!("{image}: {error}"));
        let run = runtime.block_on(model.run_images(vec![pixels], None)).unwrap();
        let difference = label_difference(golden, &run.logits[0], &ranking)?;
        Some(format!("{}: {image}: {difference}", package.folder.display()))
    };
    goldens.iter().filter_map(difference).collect()
}

fn label_difference(golden: &Golden, logits: &[f32], ranking: &Ranking) -> Option<String> {
    let all = ranking.top(logits, usize::MAX);
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
    let lines = fs::read_to_string(version.join("golden.jsonl")).expect("found a moment ago");
    let goldens: Vec<Golden> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a golden case")).collect();
    assert!(goldens.len() >= 40, "{}: only {} golden cases", version.display(), goldens.len());
    if package.image_processor.is_some() {
        return check_images(&package, &goldens);
    }
    if let Some(generation) = package.generation {
        return check_generated(&package, generation.num_beams, &goldens);
    }
    let text = Text::load(&package).unwrap_or_else(|error| panic!("{error}"));
    let model = Inline::load(&package, NonZeroUsize::MIN).unwrap_or_else(|error| panic!("{error}"));
    let ranking = Ranking::new(&package);
    let tagging = (package.task == Task::TokenClassification)
        .then(|| Tagging::new(&package).unwrap_or_else(|error| panic!("{error}")));
    goldens
        .iter()
        .filter_map(|golden| {
            let difference = match (&golden.spans, &tagging) {
                (Some(spans), Some(tagging)) => span_difference(golden, spans, &text, &model, tagging)?,
                _ => difference(golden, &text, &model, &ranking)?,
            };
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
