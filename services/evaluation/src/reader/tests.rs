use proptest::prelude::*;

use super::*;
use crate::{Offsets, Span, Wanted};

fn tsv() -> Layout {
    Layout::new(Format::Tsv, Wanted::Labels)
}

fn json() -> Layout {
    Layout::new(Format::JsonLines, Wanted::Labels)
}

fn spans() -> Layout {
    Layout::new(Format::JsonLines, Wanted::Spans)
}

fn read(text: &str, layout: Layout) -> Vec<Result<Row, Refused>> {
    Reader::new(text.as_bytes(), layout).collect()
}

#[track_caller]
fn rows(text: &str, layout: Layout) -> Vec<(u64, String, Truth)> {
    let found = read(text, layout).into_iter().map(|row| row.expect("a row"));
    found.map(|row| (row.line, row.input, row.truth)).collect()
}

fn label(label: &str) -> Truth {
    Truth::Label(label.to_owned())
}

fn labels(labels: &[&str]) -> Truth {
    Truth::Labels(labels.iter().map(|label| (*label).to_owned()).collect())
}

/// The text between the offsets, and the entity.
#[track_caller]
fn found(line: &str, layout: Layout) -> Vec<(String, String)> {
    let (_, text, truth) = rows(line, layout).remove(0);
    match truth {
        Truth::Spans(spans) => spans
            .into_iter()
            .map(|Span { start, end, entity }| (text[start..end].to_owned(), entity))
            .collect(),
        Truth::Label(_) | Truth::Labels(_) | Truth::Text(_) => panic!("no spans: {truth:?}"),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(text, entity)| ((*text).to_owned(), (*entity).to_owned())).collect()
}

/// One bad row and what is said of it.
#[track_caller]
fn refused(text: &str, layout: Layout, at: u64, says: &str) {
    let found = read(text, layout).into_iter().find_map(Result::err);
    match found {
        Some(Refused::Row { line, problem }) => {
            assert_eq!(line, at, "{problem}");
            assert!(problem.contains(says), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_gives_its_texts_and_labels_with_their_lines_and_nothing_else() {
    let text = "id\ttext\tlabel\n1\tsay \"hi\"\tgreeting\n\n2\tbye\tfarewell\n";
    let expected =
        [(2, "say \"hi\"".to_owned(), label("greeting")), (4, "bye".to_owned(), label("farewell"))];
    assert_eq!(rows(text, tsv()), expected);
}

#[test]
fn texts_have_a_reference() {
    let text = |text: &str| Truth::Text(text.to_owned());
    let expected = [(2, "one".to_owned(), text("eins, bitte"))];
    assert_eq!(rows("text\treference\none\teins, bitte\n", Layout::new(Format::Tsv, Wanted::Text)), expected);
    let json = || Layout::new(Format::JsonLines, Wanted::Text);
    assert_eq!(rows("\n{\"text\": \"one\", \"reference\": \"eins, bitte\"}", json()), expected);
    let named = Layout { label: "de".to_owned(), text: "en".to_owned(), ..json() };
    assert_eq!(rows("\n{\"en\": \"one\", \"de\": \"eins, bitte\"}", named), expected);
    refused("{\"text\": \"one\"}", json(), 1, "has no `reference`");
    refused(
        "{\"text\": \"one\", \"reference\": 1}",
        json(),
        1,
        "`reference` must be a text, and is a number",
    );
    refused("text\treference\none\t \n", Layout::new(Format::Tsv, Wanted::Text), 2, "`reference` is empty");
}

#[test]
fn columns_can_have_other_names_and_labels_too() {
    let mut layout = Layout { text: "q".to_owned(), label: "class".to_owned(), ..tsv() };
    layout.rename.insert("0".to_owned(), "negative".to_owned());
    assert_eq!(
        rows("class\tq\n0\tbad\n1\tgood\n", layout),
        [(2, "bad".to_owned(), label("negative")), (3, "good".to_owned(), label("1"))]
    );
}

#[test]
fn only_the_rows_that_are_wanted_are_read() {
    let only = vec![("lang".to_owned(), "en".to_owned())];
    let table = Layout { only: only.clone(), ..tsv() };
    assert_eq!(rows("text\tlabel\tlang\na\tx\ten\nb\ty\tfi\n", table).len(), 1);
    let lines = Layout { only, ..json() };
    let text = "{\"text\": \"a\", \"label\": \"x\", \"lang\": \"fi\"}\n{\"text\": \"b\", \"label\": \"y\", \"lang\": \"en\"}\n";
    assert_eq!(rows(text, lines), [(2, "b".to_owned(), label("y"))]);
}

#[test]
fn a_separator_makes_labels_sets() {
    let layout = Layout { separator: Some(",".to_owned()), ..tsv() };
    assert_eq!(
        rows("text\tlabel\na\tjoy, anger,joy\nb\t\n", layout),
        [(2, "a".to_owned(), labels(&["anger", "joy"])), (3, "b".to_owned(), labels(&[]))]
    );
}

#[test]
fn the_first_row_says_whether_labels_are_lists() {
    let one = r#"{"text": "a", "label": "x"}"#;
    let list = r#"{"text": "a", "label": ["y", "x", 3]}"#;
    assert_eq!(rows(one, json())[0].2, label("x"));
    assert_eq!(rows(&format!("{list}\n{one}"), json())[1].2, labels(&["x"]));
    assert_eq!(rows(list, json())[0].2, labels(&["3", "x", "y"]));
    refused(&format!("{one}\n{list}"), json(), 2, "the first row");
}

#[test]
fn a_row_of_tokens_alone_can_have_a_label_too() {
    assert_eq!(rows(r#"{"tokens": ["a", "b"], "label": "x"}"#, json()), [(1, "a b".to_owned(), label("x"))]);
}

#[test]
fn a_label_may_be_written_as_a_number() {
    assert_eq!(rows(r#"{"text": "a", "label": 1}"#, json())[0].2, label("1"));
}

#[test]
fn what_is_wrong_with_a_row_is_said_with_its_line_and_the_next_row_is_read() {
    let text = "text\tlabel\na\tx\tmore\nb\ty\n";
    refused(text, tsv(), 2, "3 fields");
    assert_eq!(read(text, tsv()).into_iter().filter(Result::is_ok).count(), 1);
    refused("text\tlabel\n \tx\n", tsv(), 2, "`text` is empty");
    refused("text\tlabel\na\t\n", tsv(), 2, "`label` is empty");
    refused("{", json(), 1, "JSON");
    refused("[1]", json(), 1, "object");
    refused(r#"{"text": 3, "label": "x"}"#, json(), 1, "a number");
    refused(r#"{"text": "a", "intent": "x"}"#, json(), 1, "`intent`");
    refused(r#"{"text": "a", "label": null}"#, json(), 1, "null");
    refused(r#"{"text": "a", "label": ["x", {}]}"#, json(), 1, "an object");
}

#[test]
fn a_table_without_the_columns_is_not_read_at_all() {
    let found = read("text\tintent\na\tx\nb\ty\n", tsv());
    assert_eq!(found.len(), 1);
    let problem = found[0].as_ref().expect_err("no such column").to_string();
    assert!(problem.contains("`label`") && problem.contains("`intent`"), "{problem}");
    assert!(matches!(found[0], Err(Refused::Header { .. })));
}

#[test]
fn nothing_in_a_file_is_no_rows() {
    assert!(rows("", tsv()).is_empty());
    assert!(rows("\n\n", json()).is_empty());
}

#[test]
fn a_file_that_breaks_off_says_behind_which_line() {
    struct Broken(bool);
    impl io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("corrupt"));
            }
            let text = b"text\tlabel\na\tx\n";
            buffer[..text.len()].copy_from_slice(text);
            Ok(text.len())
        }
    }
    let mut reader = Reader::new(io::BufReader::new(Broken(false)), tsv());
    assert!(reader.next().expect("a row").is_ok());
    let broken = reader.next();
    assert!(matches!(broken, Some(Err(Refused::File { line: 2, .. }))), "{broken:?}");
    assert!(reader.next().is_none());
}

#[test]
fn tags_become_spans_of_the_tokens_with_blanks_between() {
    let line = r#"{"tokens": ["Angela", "Merkel", "in", "Köln", "Paris"], "tags": ["B-PER", "I-PER", "O", "B-LOC", "B-LOC"]}"#;
    assert_eq!(found(line, spans()), pairs(&[("Angela Merkel", "PER"), ("Köln", "LOC"), ("Paris", "LOC")]));
}

#[test]
fn a_text_beside_the_tokens_is_the_text() {
    let line = r#"{"text": "New York, NY", "tokens": ["New", "York", ",", "NY"], "tags": ["B-x", "I-x", "O", "B-x"]}"#;
    assert_eq!(found(line, spans()), pairs(&[("New York", "x"), ("NY", "x")]));
    let line = r#"{"text": "Neu York", "tokens": ["New"], "tags": ["O"]}"#;
    refused(line, spans(), 1, "`New`");
}

#[test]
fn an_inside_without_its_beginning_begins() {
    let line = r#"{"tokens": ["a", "b", "c", "d"], "tags": ["I-x", "I-y", "O", "I-y"]}"#;
    assert_eq!(found(line, spans()), pairs(&[("a", "x"), ("b", "y"), ("d", "y")]));
}

#[test]
fn ends_and_single_tokens_are_tags_too() {
    let line = r#"{"tokens": ["a", "b", "c", "d"], "tags": ["B-x", "E-x", "I-x", "S-x"]}"#;
    assert_eq!(found(line, spans()), pairs(&[("a b", "x"), ("c", "x"), ("d", "x")]));
}

#[test]
fn tags_that_are_none_are_refused() {
    refused(r#"{"tokens": ["a"], "tags": []}"#, spans(), 1, "1 tokens and 0 tags");
    refused(r#"{"tokens": ["a"], "tags": ["x"]}"#, spans(), 1, "`x`");
    refused(r#"{"tokens": ["a"], "tags": ["B-"]}"#, spans(), 1, "`B-`");
    refused(r#"{"tokens": ["", "a"], "tags": ["O", "O"]}"#, spans(), 1, "token 1 is empty");
    refused(r#"{"tokens": "a", "tags": ["O"]}"#, spans(), 1, "list of texts");
}

#[test]
fn offsets_count_characters_unless_they_count_bytes() {
    let line = r#"{"text": "Šárka in Köln", "spans": [{"type": "LOC", "start": 9, "end": 13}]}"#;
    assert_eq!(found(line, spans()), pairs(&[("Köln", "LOC")]));
    let bytes = Layout { offsets: Offsets::Bytes, ..spans() };
    let line = r#"{"text": "Šárka in Köln", "slots": [{"slot": "LOC", "start": 11, "end": 16}]}"#;
    assert_eq!(found(line, bytes.clone()), pairs(&[("Köln", "LOC")]));
    refused(r#"{"text": "Šárka", "spans": [{"type": "x", "start": 1, "end": 3}]}"#, bytes, 1, "inside");
}

#[test]
fn spans_that_are_none_are_refused() {
    let line = |span: &str| format!(r#"{{"text": "abc", "spans": [{span}]}}"#);
    refused(&line(r#"{"type": "x", "start": 0, "end": 4}"#), spans(), 1, "3 characters");
    refused(&line(r#"{"type": "x", "start": 2, "end": 2}"#), spans(), 1, "behind");
    refused(&line(r#"{"type": "x", "start": -1, "end": 2}"#), spans(), 1, "`start`");
    refused(&line(r#"{"start": 0, "end": 2}"#), spans(), 1, "entity");
    refused(&line("3"), spans(), 1, "span 1");
    refused(r#"{"text": "abc"}"#, spans(), 1, "`tokens`");
}

#[test]
fn entities_are_renamed_as_labels_are() {
    let mut layout = spans();
    layout.rename.insert("PER".to_owned(), "person".to_owned());
    layout.rename.insert("task".to_owned(), "O".to_owned());
    let line = r#"{"tokens": ["Ann", "parses"], "tags": ["B-PER", "B-task"]}"#;
    assert_eq!(found(line, layout), pairs(&[("Ann", "person")]), "and one that is called `O` is none");
}

proptest! {
    /// Whatever is in a file, it is read to its end, and every span lies in its text.
    #[test]
    fn no_file_breaks_the_reader(lines in prop::collection::vec(line(), 0..12), is_tsv: bool, wants_spans: bool, bytes: bool) {
        let layout = Layout {
            separator: bytes.then(|| ",".to_owned()),
            offsets: if bytes { Offsets::Bytes } else { Offsets::Characters },
            ..Layout::new(
                if is_tsv { Format::Tsv } else { Format::JsonLines },
                if wants_spans { Wanted::Spans } else { Wanted::Labels },
            )
        };
        let text = lines.join(&b'\n');
        for row in Reader::new(text.as_slice(), layout).flatten() {
            prop_assert!(!row.input.trim().is_empty());
            if let Truth::Spans(spans) = row.truth {
                for span in spans {
                    prop_assert!(row.input.get(span.start..span.end).is_some_and(|text| !text.is_empty()));
                }
            }
        }
    }
}

/// Nearly rows, and bytes.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let offset = -1_i64..8;
    let tag = prop::sample::select(vec!["O", "B-x", "I-x", "I-y", "E-x", "S-x", "X", "B-", "-x"]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        Just(b"text\tlabel".to_vec()),
        "[a-zé\t,]{0,9}".prop_map(String::into_bytes),
        ("[a-zé \u{301}]{0,6}", offset.clone(), offset).prop_map(|(text, start, end)| {
            serde_json::json!({"text": text, "label": "x", "spans": [{"type": "x", "start": start, "end": end}]})
                .to_string()
                .into_bytes()
        }),
        prop::collection::vec(("[a-é]{0,3}", tag), 0..6).prop_map(|pairs| {
            let (tokens, tags): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            serde_json::json!({"tokens": tokens, "tags": tags}).to_string().into_bytes()
        }),
    ]
}
