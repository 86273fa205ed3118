//! `nanogrid expert`: from nothing to a folder, from an export to a checked package, and the table of the README.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use harness::{nanogrid, root, stderr, stdout};
use nanogrid_testkit::{images, packages};
use serde_json::{Value, json};
use tempfile::TempDir;

const LABELS: [&str; 3] = ["low", "normal", "high"];

struct Case {
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn catalog(&self) -> PathBuf {
        self.folder.path().join("catalog")
    }

    fn urgency(&self) -> PathBuf {
        self.catalog().join("urgency")
    }

    /// As an exporter writes it.
    fn export(&self, name: &str, labels: &[&str]) -> PathBuf {
        packages::hugging_face(self.folder.path(), name, labels)
    }

    fn expert(&self, command: &str, arguments: &[&str]) -> Output {
        let mut expert = nanogrid(&["expert", command, "urgency", "--catalog"]);
        expert.arg(self.catalog()).args(arguments).output().expect("runs")
    }

    fn add(&self, from: &Path, arguments: &[&str]) -> Output {
        self.expert("add", &[&["--from", from.to_str().expect("UTF-8")], arguments].concat())
    }

    /// Nothing is left of what was refused.
    #[track_caller]
    fn refused(&self, output: &Output, says: &[&str]) {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        for part in says {
            assert!(stderr(output).contains(part), "{part}: {output:?}");
        }
        let left: Vec<_> = self.catalog().read_dir().into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[track_caller]
fn ok(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[track_caller]
fn is_sound(folder: &Path) -> String {
    let output = nanogrid(&["check", "--load"]).arg(folder).output().expect("runs");
    ok(&output);
    stdout(&output)
}

#[test]
fn an_export_becomes_a_package_that_is_sound_and_is_not_touched_itself() {
    let case = Case::new();
    let export = case.export("export", &LABELS);
    let texts = case.folder.path().join("texts.txt");
    fs::write(&texts, "high high\nlow\n\n").expect("written");
    let output = case.add(
        &export,
        &[
            "--licence",
            "MIT",
            "--title",
            "how urgent it is",
            "--texts",
            texts.to_str().expect("UTF-8"),
            "--json",
        ],
    );
    ok(&output);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["version"], &json["golden_cases"]), (&1.into(), &2.into()), "{json:#}");
    assert!(json["parameters"].as_u64().expect("a number") > 0, "{json:#}");
    assert!(is_sound(&case.urgency()).contains("urgency v1, text-classification, 3 labels"));

    let manifest = fs::read_to_string(case.urgency().join("1/version.toml")).expect("a manifest");
    for part in ["licence = \"MIT\"", "input_ids", "logits", "max-tokens = 16", "golden.jsonl"] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
    let golden = fs::read_to_string(case.urgency().join("1/golden.jsonl")).expect("golden cases");
    let first: Value = serde_json::from_str(golden.lines().next().expect("a case")).expect("JSON");
    assert_eq!((&first["text"], &first["labels"][0]), (&"high high".into(), &"high".into()));
    assert!(!export.join("version.toml").exists(), "an export stays as it is");
}

#[test]
fn an_export_for_images_becomes_a_package_with_its_examples() {
    let case = Case::new();
    let export = packages::hugging_face_image_classifier(case.folder.path(), "export", &json!({}));
    let photos = case.folder.path().join("photos");
    fs::create_dir_all(&photos).expect("a folder");
    fs::write(photos.join("sky.png"), images::png([0, 40, 250])).expect("written");
    fs::write(photos.join("apple.JPG"), images::jpeg([240, 10, 0])).expect("written");
    fs::write(photos.join("notes.txt"), "no image").expect("written");
    let output = case.add(&export, &["--images", photos.to_str().expect("UTF-8")]);
    ok(&output);
    assert!(stdout(&output).contains("--image photo.jpg"), "{output:?}");
    assert!(is_sound(&case.urgency()).contains("urgency v1, image-classification, 3 labels"));
    let golden = fs::read_to_string(case.urgency().join("1/golden.jsonl")).expect("golden cases");
    let cases: Vec<Value> = golden.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let said: Vec<_> =
        cases.iter().map(|case| (case["image"].as_str(), case["labels"][0].as_str())).collect();
    assert_eq!(said, [(Some("golden/apple.JPG"), Some("red")), (Some("golden/sky.png"), Some("blue"))]);
    assert!(case.urgency().join("1/golden/sky.png").is_file());
}

#[test]
fn an_export_for_images_that_does_not_say_how_they_are_prepared_is_refused() {
    let case = Case::new();
    let export =
        packages::hugging_face_image_classifier(case.folder.path(), "export", &json!({"resample": 9}));
    let says = ["preprocessor_config.json", "resample: must be a filter of Pillow, 0 to 5: 9"];
    case.refused(&case.add(&export, &[]), &says);
    fs::remove_file(export.join("preprocessor_config.json")).expect("it was there");
    case.refused(&case.add(&export, &[]), &["preprocessor_config.json", "there is no such file"]);
}

#[test]
fn one_more_export_is_the_next_version_and_the_default_stays() {
    let case = Case::new();
    let export = case.export("export", &LABELS);
    ok(&case.add(&export, &[]));
    let second = case.add(&export, &[]);
    ok(&second);
    assert!(
        stdout(&second).contains("urgency v2") && stdout(&second).contains("default-version"),
        "{second:?}"
    );
    let third = case.add(&case.export("other", &["no", "yes"]), &[]);
    ok(&third);
    assert!(stdout(&third).contains("labels are not those"), "{third:?}");
    let checked = is_sound(&case.urgency());
    assert!(["v1", "v2", "v3"].iter().all(|version| checked.contains(version)), "{checked}");

    let table = nanogrid(&["expert", "table", "--catalog"]).arg(case.catalog()).output().expect("runs");
    let table = stdout(&table);
    assert!(
        table.contains("| 1, the default |") && table.contains("| 2 |") && table.contains("not stated"),
        "{table}"
    );
}

#[test]
fn a_model_in_its_own_folder_and_one_with_another_name_are_found() {
    let case = Case::new();
    let export = case.export("export", &LABELS);
    fs::create_dir(export.join("onnx")).expect("made");
    fs::rename(export.join("model.onnx"), export.join("onnx/model.onnx")).expect("moved");
    ok(&case.add(&export, &[]));
    fs::rename(export.join("onnx/model.onnx"), export.join("onnx/model_int8.onnx")).expect("moved");
    let output = case.add(&export, &[]);
    assert!(
        stderr(&output).contains("--model") && stderr(&output).contains("onnx/model_int8.onnx"),
        "{output:?}"
    );
    ok(&case.add(&export, &["--model", "onnx/model_int8.onnx"]));
}

#[test]
fn everything_that_is_missing_is_told_at_once_and_nothing_is_left_behind() {
    let case = Case::new();
    let empty = case.folder.path().join("empty");
    fs::create_dir(&empty).expect("made");
    case.refused(&case.add(&empty, &[]), &["model.onnx", "tokenizer.json", "config.json"]);
    let task = case.add(&empty, &["--task", "embedding"]);
    case.refused(&task, &["embedding", "model.onnx"]);
}

#[test]
fn a_model_that_does_not_fit_its_labels_or_its_tokenizer_is_refused() {
    let case = Case::new();
    let export = case.export("export", &LABELS);
    let config = fs::read_to_string(export.join("config.json")).expect("a config");
    fs::write(export.join("config.json"), config.replace("\"2\"", "\"7\"")).expect("written");
    case.refused(&case.add(&export, &[]), &["id2label", "\"0\" to \"2\"", "`7`"]);

    let two = case.export("two", &LABELS[..2]);
    fs::copy(two.join("config.json"), export.join("config.json")).expect("copied");
    fs::write(export.join("tokenizer.json"), "{}").expect("written");
    case.refused(&case.add(&export, &[]), &["logits", "[-1, 2]", "tokenizer.json"]);

    let more = case.export("more", &["a", "b", "c", "d", "e", "f"]);
    fs::copy(more.join("tokenizer.json"), two.join("tokenizer.json")).expect("copied");
    case.refused(&case.add(&two, &[]), &["tokenizer.json", "does not know"]);

    fs::write(two.join("model.onnx"), "no model").expect("written");
    case.refused(&case.add(&two, &[]), &["model.onnx", "no ONNX model"]);
}

#[test]
fn a_new_expert_has_what_it_needs_but_a_model_which_is_then_added() {
    let case = Case::new();
    let output = case.expert("new", &["--task", "text-classification", "--title", "how urgent it is"]);
    ok(&output);
    for file in ["expert.toml", "README.md", "train.toml"] {
        assert!(case.urgency().join(file).is_file(), "{file}");
        assert!(stdout(&output).contains(file), "{output:?}");
    }
    let again = case.expert("new", &["--task", "text-classification"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(stderr(&again).contains("nanogrid expert add"), "{again:?}");
    ok(&case.add(&case.export("export", &LABELS), &[]));
    is_sound(&case.urgency());
    let other = case.add(&case.export("export", &LABELS), &["--task", "token-classification"]);
    assert!(stderr(&other).contains("text-classification already"), "{other:?}");
}

#[test]
fn an_export_that_finds_spans_becomes_a_package_and_one_with_other_labels_does_not() {
    let case = Case::new();
    let export = packages::hugging_face_tagger(case.folder.path(), "export", &["O", "B-day", "I-day"], &[]);
    let texts = case.folder.path().join("texts.txt");
    fs::write(&texts, "see you b-day\n").expect("written");
    let spans = ["--task", "token-classification", "--texts", texts.to_str().expect("UTF-8")];
    ok(&case.add(&export, &spans));
    assert!(is_sound(&case.urgency()).contains("token-classification"));
    let golden = fs::read_to_string(case.urgency().join("1/golden.jsonl")).expect("golden cases");
    let golden: Value = serde_json::from_str(&golden).expect("JSON");
    assert_eq!(golden["spans"][0]["entity"], "day", "{golden:#}");
    assert_eq!((&golden["spans"][0]["start"], &golden["spans"][0]["end"]), (&8.into(), &13.into()));

    let other = Case::new();
    let export = packages::hugging_face_tagger(other.folder.path(), "export", &["day", "night"], &[]);
    other.refused(&other.add(&export, &["--task", "token-classification"]), &["id2label", "`B-`"]);
}

#[test]
fn names_and_tasks_that_are_none_are_wrong_usage() {
    let case = Case::new();
    let task = case.expert("new", &["--task", "guessing"]);
    assert_eq!(task.status.code(), Some(2), "{task:?}");
    assert!(stderr(&task).contains("text-classification"), "{task:?}");
    let name =
        nanogrid(&["expert", "new", "Not A Name", "--task", "text-classification"]).output().expect("runs");
    assert_eq!(name.status.code(), Some(2), "{name:?}");
}

#[test]
fn the_table_of_experts_in_the_readme_is_what_the_versions_say() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("README.md");
    fs::write(&copy, &readme).expect("written");
    ok(&nanogrid(&["expert", "table", "--readme"]).arg(&copy).output().expect("runs"));
    let fresh = fs::read_to_string(&copy).expect("a README");
    assert!(fresh == readme, "the table of experts in README.md is stale: run `make readme`, and commit it");

    fs::write(&copy, "no place").expect("written");
    let output = nanogrid(&["expert", "table", "--readme"]).arg(&copy).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("<!--"), "{output:?}");
}
