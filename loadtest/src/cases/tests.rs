use super::*;

fn case(text: &str, expert: Option<&str>, expected: &[&str]) -> Case {
    Case {
        input: Input::Text(text.to_owned()),
        expert: expert.map(str::to_owned),
        by_name: false,
        expected: expected.iter().map(|label| (*label).to_owned()).collect(),
    }
}

fn read_text(name: &str, content: &str) -> Result<Vec<Case>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    read(&path)
}

#[track_caller]
fn refused(name: &str, content: &str, message: &str) {
    let error = read_text(name, content).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn jsonl_has_a_label_or_golden_labels_or_none() {
    let cases = read_text(
        "a.jsonl",
        r#"{"text": "a b", "label": "x"}

{"text": "c", "tokens": [1, 2], "labels": ["x", "y", "z"], "scores": [0.8, 0.15, 0.05]}
{"text": "d", "expert": "topic"}"#,
    );
    assert_eq!(
        cases.unwrap(),
        [case("a b", None, &["x"]), case("c", None, &["x"]), case("d", Some("topic"), &[])]
    );
}

#[test]
fn generated_texts_are_expected_word_for_word_and_asked_by_name() {
    let line = r#"{"text": "good day", "tokens": [1, 2], "output": {"text": "guten Tag", "score": -0.1}}"#;
    let expected = Case { by_name: true, ..case("good day", None, &["guten Tag"]) };
    assert_eq!(read_text("a.jsonl", line).unwrap(), [expected]);
}

#[test]
fn images_are_read_from_beside_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("golden")).unwrap();
    let image = folder.path().join("golden/cat-1.jpg");
    fs::write(&image, b"a picture").unwrap();
    let path = folder.path().join("golden.jsonl");
    fs::write(&path, r#"{"image": "golden/cat-1.jpg", "labels": ["cat", "dog"], "scores": [0.9, 0.1]}"#)
        .unwrap();
    let [case] = &read(&path).unwrap()[..] else { panic!("one case") };
    let file = Bytes::from_static(b"a picture");
    assert_eq!(case.input, Input::Image { path: image.clone(), file });
    assert_eq!((case.input.to_string(), case.input.is_blank()), (image.display().to_string(), false));
    assert_eq!(case.expected, ["cat"]);
}

#[test]
fn labels_that_tie_are_all_right() {
    let cases =
        read_text("a.jsonl", r#"{"text": "t", "labels": ["x", "y", "z"], "scores": [0.4001, 0.4, 0.1]}"#)
            .unwrap();
    assert_eq!(cases, [case("t", None, &["x", "y"])]);
}

#[test]
fn tsv_takes_its_columns_by_name() {
    let cases = read_text("a.tsv", "source\tlabel\ttext\nweb\tde\tguten Tag\n\nweb\ten\tgood day\n").unwrap();
    assert_eq!(cases, [case("guten Tag", None, &["de"]), case("good day", None, &["en"])]);
    let cases = read_text("a.tsv", "text\tintent\tdomain\nmove money\ttransfer\tbanking\n").unwrap();
    assert_eq!(cases, [case("move money", None, &["transfer"])]);
}

#[test]
fn bad_lines_are_named() {
    refused(
        "a.jsonl",
        "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n",
        "a.jsonl:2: must have a `text` or an `image`",
    );
    refused("a.jsonl", r#"{"text": "a", "image": "b.png"}"#, "a.jsonl:1: must have a `text` or an `image`");
    refused("a.jsonl", r#"{"image": "b.png"}"#, "b.png` cannot be read");
    refused("a.tsv", "text\tlabel\na\tb\nc\n", "a.tsv:3: must have 2 columns as in the header: 1");
    refused(
        "a.tsv",
        "sentence\tlabel\n",
        "a.tsv:1: the header must have a column `text`: `sentence`, `label`",
    );
    refused("a.csv", "text,label\n", "neither `.jsonl` nor `.tsv`");
}

#[test]
fn golden_cases_come_from_the_default_version_of_each_expert() {
    let catalog = tempfile::tempdir().unwrap();
    for (folder, version) in [("topic", 2), ("intent", 1)] {
        let expert = catalog.path().join(folder);
        for version in 1..=2 {
            fs::create_dir_all(expert.join(version.to_string())).unwrap();
            let line = format!(r#"{{"text": "{folder} {version}", "label": "l"}}"#);
            fs::write(expert.join(version.to_string()).join("golden.jsonl"), line).unwrap();
        }
        fs::write(expert.join("expert.toml"), format!("name = \"{folder}\"\ndefault-version = {version}\n"))
            .unwrap();
    }
    fs::create_dir(catalog.path().join("notes")).unwrap();
    let expected = [case("intent 1", Some("intent"), &["l"]), case("topic 2", Some("topic"), &["l"])];
    assert_eq!(golden(catalog.path(), None).unwrap(), expected);
    assert_eq!(golden(catalog.path(), Some("topic")).unwrap(), expected[1..]);
}
