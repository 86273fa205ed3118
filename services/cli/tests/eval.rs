//! `nanogrid eval`: numbers that can be worked out in one's head, from a package and from a grid, and what it says when
//! something is wrong.

mod harness;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Output,
};

use harness::{Grid, nanogrid, stderr, stdout};
use nanogrid_testkit::{images, packages};
use serde_json::Value;
use tempfile::TempDir;

/// An expert that answers with the word it finds, and with `sun` when it finds none; and rows for it.
struct Case {
    folder: TempDir,
    catalog: PathBuf,
}

/// 3 of 4 are right: `dark` is answered with the first label.
const ROWS: &str = "text\tlabel\nsun\tsun\nrain today\train\nmuch rain\train\ndark\tsnow\n";

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = folder.path().join("catalog");
        packages::text_classifier(&catalog, "weather", &["sun", "rain", "snow"]);
        Self { folder, catalog }
    }

    fn package(&self) -> PathBuf {
        self.catalog.join("weather")
    }

    fn data(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    }

    fn eval(&self, data: &Path, arguments: &[&str]) -> Output {
        let mut command = nanogrid(&["eval", "--package"]);
        command.arg(self.package()).arg("--data").arg(data).args(arguments).output().expect("runs")
    }

    #[track_caller]
    fn json(&self, data: &Path, code: i32, arguments: &[&str]) -> Value {
        let output = self.eval(data, &[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

#[test]
fn a_package_is_tested_by_the_program_that_would_serve_it() {
    let case = Case::new();
    let rows = case.data("rows.tsv", ROWS);
    let json = case.json(&rows, 0, &[]);
    assert_eq!(json["accuracy"]["value"], 0.75, "{json:#}");
    assert_eq!((&json["rows"]["answered"], &json["rows"]["failed"]), (&4.into(), &0.into()));
    assert_eq!((&json["expert"], &json["versions"]["1"]), (&"weather".into(), &4.into()));
    let macro_f1 = json["macro_f1"]["value"].as_f64().expect("a number");
    assert!((macro_f1 - (2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-9, "sun 2/3, rain 1, snow 0: {json:#}");
    assert_eq!(json["confused"][0]["truth"], "snow");
    assert_eq!(json["confused"][0]["answer"], "sun");
    assert!(json["latency_ms"]["p50"].as_f64().expect("a number") > 0.0);

    let text = stdout(&case.eval(&rows, &[]));
    assert!(text.contains("75.0 %") && text.contains("rows: the truth"), "{text}");
    assert!(!text.contains('\x1b'), "no colours where there is no terminal: {text}");
    assert_eq!(case.json(&rows, 0, &["--limit", "3"])["accuracy"]["value"], 1.0);
}

#[test]
fn packed_files_lists_of_labels_and_other_names_are_read() {
    let case = Case::new();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(ROWS.as_bytes()).expect("memory");
    let packed = case.data("rows.tsv.xz", xz.finish().expect("memory"));
    assert_eq!(case.json(&packed, 0, &[])["accuracy"]["value"], 0.75);

    let lines = case.data("rows.jsonl", "{\"q\": \"sun\", \"a\": [\"SUN\"]}\n{\"q\": \"rain\", \"a\": []}\n");
    let json = case.json(&lines, 0, &["--text-column", "q", "--label-column", "a", "--rename", "SUN=sun"]);
    assert_eq!(json["accuracy"]["value"], 0.5, "{json:#}");
    assert!(json["micro_f1"]["value"].is_number());
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_can_be_skipped() {
    let case = Case::new();
    let rows = case.data("rows.tsv", "text\tlabel\nsun\tsun\nrain\n");
    let output = case.eval(&rows, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(
        said.contains("rows.tsv:3") && said.contains("1 fields") && said.contains("--skip-bad"),
        "{said}"
    );
    let json = case.json(&rows, 0, &["--skip-bad"]);
    assert_eq!((&json["rows"]["answered"], &json["rows"]["bad"]), (&1.into(), &1.into()));
    assert_eq!(json["bad_rows"][0]["line"], 3);
}

#[test]
fn rows_without_an_answer_are_counted_and_the_exit_code_says_so() {
    let case = Case::new();
    let json = case.json(&case.data("rows.tsv", "text\tlabel\nsun\tsun\nnan\tsun\n"), 3, &[]);
    assert_eq!((&json["rows"]["answered"], &json["rows"]["failed"]), (&1.into(), &1.into()), "{json:#}");
    assert_eq!(json["accuracy"]["value"], 1.0, "of what was answered");
    assert_eq!(json["failures"][0]["first_line"], 3);
}

#[test]
fn labels_that_the_expert_does_not_have_are_told() {
    let case = Case::new();
    let rows = case.data("rows.tsv", "text\tlabel\nsun\tsun\nhail\thail\n");
    assert_eq!(case.json(&rows, 0, &[])["unknown_labels"]["hail"], 1);
    let text = stdout(&case.eval(&rows, &[]));
    assert!(text.contains("`hail`") && text.contains("--rename"), "{text}");
}

#[test]
fn what_cannot_be_tested_is_said_in_a_sentence() {
    let case = Case::new();
    let rows = case.data("rows.tsv", "text\tclass\nsun\tsun\n");
    let says = |output: Output, code: i32, parts: &[&str]| {
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        for part in parts {
            assert!(stderr(&output).contains(part), "{part}: {output:?}");
        }
    };
    says(case.eval(&rows, &[]), 1, &["`class`", "--label-column"]);
    says(case.eval(Path::new("/nowhere/rows.tsv"), &[]), 1, &["/nowhere/rows.tsv"]);
    says(case.eval(&case.data("rows.csv", ""), &[]), 1, &["--format"]);
    says(case.eval(&case.data("rows.tsv.xz", "no"), &[]), 1, &["rows.tsv.xz"]);
    says(case.eval(&rows, &["--expert", "topic"]), 1, &["weather", "--expert"]);
    says(case.eval(&rows, &["--threshold", "2"]), 2, &["--threshold"]);
    fs::remove_file(case.package().join("1/tokenizer.json")).expect("removed");
    says(case.eval(&rows, &[]), 1, &["tokenizer.json"]);
}

#[test]
fn spans_are_tested_by_their_places_and_the_label_of_the_whole_text_by_its_column() {
    let case = Case::new();
    let package =
        packages::token_classifier(&case.catalog, "tags", &["O", "B-day", "I-day"], &["no", "yes"], "");
    let rows = case.data(
        "rows.jsonl",
        "{\"tokens\": [\"see\", \"b-day\", \"i-day\"], \"tags\": [\"O\", \"B-day\", \"I-day\"], \"is\": \"no\"}\n\
         {\"tokens\": [\"yes\", \"b-day\"], \"tags\": [\"B-day\", \"O\"], \"is\": \"yes\"}\n",
    );
    let run = |arguments: &[&str]| -> Value {
        let mut command = nanogrid(&["eval", "--json", "--package"]);
        let output = command.arg(&package).arg("--data").arg(&rows).args(arguments).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let spans = run(&[]);
    assert_eq!(spans["micro_f1"]["value"], 0.5, "{spans:#}");
    assert_eq!((&spans["span_errors"]["missed"], &spans["span_errors"]["invented"]), (&1.into(), &1.into()));
    assert_eq!(run(&["--threshold", "1"])["micro_f1"]["value"], 0.0, "nobody is that sure");
    let labels = run(&["--label-column", "is"]);
    assert_eq!(labels["classes"][1]["label"], "yes", "{labels:#}");
    assert_eq!(labels["classes"][1]["recall"], 1.0, "{labels:#}");
}

#[test]
fn images_are_read_beside_the_file_that_names_them() {
    let case = Case::new();
    let package = packages::image_classifier(&case.catalog, "colour");
    case.data("sky.png", images::png([0, 40, 250]));
    case.data("apple.jpg", images::jpeg([240, 10, 0]));
    let rows = case.data("rows.tsv", "image\tlabel\nsky.png\tblue\napple.jpg\tgreen\nnone.png\tred\n");
    let output = nanogrid(&["eval", "--json", "--package"])
        .arg(package)
        .arg("--data")
        .arg(rows)
        .output()
        .expect("runs");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!((&json["rows"]["answered"], &json["accuracy"]["value"]), (&2.into(), &0.5.into()), "{json:#}");
    assert_eq!(json["failures"][0]["kind"], "unreadable image", "{json:#}");
}

#[test]
fn an_expert_of_a_running_grid_is_tested_by_its_name() {
    let case = Case::new();
    let rows = case.data("rows.tsv", ROWS);
    let (rows, catalog) = (rows.to_str().expect("UTF-8"), case.catalog.to_str().expect("UTF-8"));
    let grid = Grid::up(&["--catalog", catalog]);
    let json = grid.json(0, &["eval", "--expert", "weather", "--data", rows]);
    assert_eq!(json["accuracy"]["value"], 0.75, "{json:#}");
    assert_eq!(json["versions"]["1"], 4);
    let again = grid
        .json(0, &["eval", "--expert", "weather", "--data", rows, "--version", "1", "--concurrency", "1"]);
    assert_eq!(again["classes"], json["classes"]);
    let unknown = grid.run(&["eval", "--expert", "wether", "--data", rows]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("`weather`"), "{unknown:?}");
    let none = grid.json(3, &["eval", "--expert", "weather", "--data", rows, "--version", "7"]);
    assert_eq!(none["rows"]["failed"], 4, "there is no such version: {none:#}");
}
