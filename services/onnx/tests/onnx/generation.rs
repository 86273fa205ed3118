use std::{fs, path::Path, time::Duration};

use nanogrid_onnx::{Generated, Model, Package, RunError, Text};
use nanogrid_settings::{Task, package::NumBeams};
use nanogrid_testkit::{
    graphs::{
        WEIGHT,
        encoder_decoder::{LEFT, VOCABULARY},
    },
    packages,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::time::Instant;

use crate::load;

struct Translator {
    _dir: TempDir,
    text: Text,
    model: Model,
}

impl Translator {
    fn new(generation: Value) -> Self {
        Self::of(|dir| packages::translator(dir, "translate", &generation))
    }

    fn of(make: impl FnOnce(&Path) -> std::path::PathBuf) -> Self {
        let dir = tempdir().unwrap();
        let package = Package::open(&make(dir.path())).unwrap();
        assert_eq!(package.task, Task::TextToText);
        let model = load(&package).unwrap_or_else(|error| panic!("{error}"));
        Self { text: Text::load(&package).unwrap(), model, _dir: dir }
    }

    async fn generate(&self, texts: &[&str], num_beams: u64) -> Result<Vec<Generated>, RunError> {
        let deadline = Some(Instant::now() + Duration::from_secs(30));
        let rows = texts.iter().map(|text| self.text.encode(text)).collect::<Result<_, _>>()?;
        let num_beams = NumBeams::try_from(num_beams).unwrap();
        self.model.generate(rows, num_beams, deadline).await.map(|generation| generation.texts)
    }

    async fn one(&self, text: &str, num_beams: u64) -> (String, f32) {
        let Generated { ids, score } = self.generate(&[text], num_beams).await.unwrap().remove(0);
        (self.text.decode(&ids).unwrap(), score)
    }

    #[track_caller]
    fn check(&self, (text, score): &(String, f32), expected: &str, log_probabilities: &[f32]) {
        assert_eq!(text, expected);
        let mean = log_probabilities.iter().sum::<f32>() / log_probabilities.len() as f32;
        assert!((score - mean).abs() < 1e-4, "{text}: expected {mean}, found {score}");
    }
}

/// Log-probability of a word's translation.
fn translated() -> f32 {
    WEIGHT - (WEIGHT.exp() + VOCABULARY as f32 - 1.0).ln()
}

#[tokio::test]
async fn texts_become_texts() {
    let model = Translator::new(json!({}));
    let word = translated();
    model.check(&model.one("one two", 1).await, "eins zwei", &[word, word, 0.0]);
    model.check(&model.one("TWO two one", 1).await, "zwei zwei eins", &[word, word, word, 0.0]);
    model.check(&model.one("silence", 1).await, "", &[0.0]);
}

#[tokio::test]
async fn beams_find_what_greedy_search_misses() {
    let model = Translator::new(json!({}));
    let (left, right) = (LEFT.ln(), (1.0 - LEFT).ln());
    model.check(&model.one("fork tine tip", 1).await, "a x one", &[left, 0.5_f32.ln(), 0.0, 0.0]);
    model.check(&model.one("fork tine tip", 2).await, "b z two", &[right, 0.0, 0.0, 0.0]);
    model.check(&model.one("fork tine tip", 8).await, "b z two", &[right, 0.0, 0.0, 0.0]);
}

#[tokio::test]
async fn a_batch_answers_as_its_rows_do_alone() {
    let model = Translator::new(json!({}));
    let texts = ["two", "fork tine tip", "silence", "one two one two one two", "fork tine tip", "one"];
    for num_beams in [1, 3] {
        let together = model.generate(&texts, num_beams).await.unwrap();
        for (text, together) in texts.iter().zip(together) {
            let alone = model.generate(&[text], num_beams).await.unwrap().remove(0);
            assert_eq!(together.ids, alone.ids, "{text}");
            assert!(
                (together.score - alone.score).abs() < 1e-4,
                "{text}: {} {}",
                together.score,
                alone.score
            );
        }
    }
    assert!(model.generate(&[], 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn optimums_layout_answers_the_same() {
    let ours = Translator::of(|dir| packages::hugging_face_translator(dir, "ours", &json!({})));
    let theirs = Translator::of(|dir| packages::optimum_translator(dir, "theirs", &json!({})));
    let texts = ["two one", "fork tine tip", "silence"];
    for num_beams in [1, 4] {
        assert_eq!(theirs.generate(&texts, num_beams).await, ours.generate(&texts, num_beams).await);
    }
}

#[tokio::test]
async fn what_never_ends_is_cut_off() {
    let model = Translator::new(json!({ "max_length": 6 }));
    model.check(&model.one("again", 1).await, "again again again again again", &[0.0; 5]);
    model.check(&model.one("again", 4).await, "again again again again again", &[0.0; 5]);
    let model = Translator::new(json!({ "max_length": 500 }));
    // Three for each of the two source tokens, and sixteen.
    assert_eq!(model.generate(&["again"], 1).await.unwrap()[0].ids.len(), 22);
}

#[tokio::test]
async fn a_generation_past_its_deadline_is_stopped_and_the_model_serves_on() {
    let model = Translator::new(json!({}));
    let rows = vec![model.text.encode("forever").unwrap()];
    let soon = Some(Instant::now() + Duration::from_millis(50));
    let answer = model.model.generate(rows, NumBeams::GREEDY, soon).await;
    assert_eq!(answer, Err(RunError::DeadlineExceeded));
    assert_eq!(model.one("one", 1).await.0, "eins");
    assert_eq!((model.model.counters().stopped, model.model.counters().failed), (1, 0));
}

#[tokio::test]
async fn logits_that_are_no_numbers_fail_their_request_only() {
    let model = Translator::new(json!({}));
    for num_beams in [1, 2] {
        let error = model.generate(&["nan", "one"], num_beams).await.unwrap_err();
        assert_eq!(error, RunError::Failed("the model gave a logit that is not a finite number".into()));
    }
    assert_eq!(model.one("one", 1).await.0, "eins");
}

#[tokio::test]
async fn a_model_is_asked_for_what_it_gives() {
    let model = Translator::new(json!({}));
    let rows = || vec![model.text.encode("one").unwrap()];
    let error = model.model.run_text(rows(), None).await.unwrap_err();
    assert_eq!(error, RunError::Invalid("this model answers with texts, and gives no logits".into()));
    let dir = tempdir().unwrap();
    let words = Package::open(&packages::text_classifier(dir.path(), "words", &["one", "two"])).unwrap();
    let error = load(&words).unwrap().generate(rows(), NumBeams::GREEDY, None).await.unwrap_err();
    assert_eq!(error, RunError::Invalid("this model generates no text".into()));
}

/// Not opened or not loaded, and the message holds each of `parts`.
#[track_caller]
fn refused(folder: &Path, parts: &[&str]) {
    let message = Package::open(folder).and_then(|package| load(&package)).expect_err("broken").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn packages_that_cannot_generate_are_refused() {
    let dir = tempdir().unwrap();
    let make =
        |name: &str, generation: Value| packages::hugging_face_translator(dir.path(), name, &generation);

    for name in ["decoder_with_past_model.onnx", "tokenizer.json", "generation_config.json"] {
        let folder = make("missing", json!({}));
        fs::remove_file(folder.join(name)).unwrap();
        refused(&folder, &["missing", &format!("holds no {name}")]);
    }
    refused(
        &make("no-end", json!({ "eos_token_id": null })),
        &["generation_config.json", "eos_token_id: is missing: add it"],
    );
    refused(&make("wide", json!({ "num_beams": 50 })), &["num_beams: must be a number from 1 to 8: 50"]);
    refused(
        &make("other", json!({ "pad_token_id": 58100 })),
        &[
            "generation_config.json",
            "pad_token_id: must be a token of the model, which has 19: 58100",
            "another model",
        ],
    );

    let folder = make("swapped", json!({}));
    fs::copy(folder.join("encoder_model.onnx"), folder.join("decoder_with_past_model.onnx")).unwrap();
    refused(
        &folder,
        &[
            "decoder_with_past_model.onnx",
            "past_key_values.{i}.decoder.key",
            "export it with keys and values",
        ],
    );

    let folder = packages::optimum_translator(dir.path(), "half", &json!({}));
    fs::remove_file(folder.join("decoder_model.onnx")).unwrap();
    refused(&folder, &["encoder_model.onnx", "gives `last_hidden_state`", "decoder_model.onnx", "add it"]);
}

#[test]
fn every_graph_counts_for_the_digest_of_the_model() {
    let dir = tempdir().unwrap();
    let sealed = Package::open(&packages::translator(dir.path(), "sealed", &json!({}))).unwrap();
    let export = Package::open(&packages::hugging_face_translator(dir.path(), "export", &json!({}))).unwrap();
    assert_eq!(sealed.model_sha256, export.model_sha256);
    let optimum = packages::optimum_translator(dir.path(), "optimum", &json!({}));
    let before = Package::open(&optimum).unwrap().model_sha256;
    assert_ne!(before, export.model_sha256);
    let first = optimum.join("decoder_model.onnx");
    fs::write(&first, [fs::read(&first).unwrap(), vec![0x0a, 0]].concat()).unwrap();
    assert_ne!(Package::open(&optimum).unwrap().model_sha256, before);
}
