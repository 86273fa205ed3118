use proptest::prelude::*;

use super::*;
use crate::{Confused, Summary};

fn label(label: &str) -> Truth {
    Truth::Label(label.to_owned())
}

fn says(label: &str) -> Answer {
    Answer::Label(Some(label.to_owned()))
}

fn tally(none: Option<&str>, rows: &[(Truth, Answer)]) -> Summary {
    let mut tally = Tally::new(none.map(str::to_owned), 0);
    for (row, (truth, answer)) in rows.iter().enumerate() {
        tally.add(row as u64, truth, answer).expect("few labels");
    }
    tally.summary()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn spans(spans: &[(usize, usize, &str)]) -> Vec<Span> {
    spans.iter().map(|&(start, end, entity)| Span { start, end, entity: entity.to_owned() }).collect()
}

/// The example of scikit-learn's `f1_score`: truth 0 1 2 0 1 2, answers 0 2 1 0 0 1; macro 0.2667.
#[test]
fn labels_have_precision_recall_and_f1() {
    let rows: Vec<_> = [("0", "0"), ("1", "2"), ("2", "1"), ("0", "0"), ("1", "0"), ("2", "1")]
        .map(|(truth, answer)| (label(truth), says(answer)))
        .to_vec();
    let summary = tally(None, &rows);
    near(summary.accuracy.expect("rows").value, 2.0 / 6.0);
    near(summary.macro_f1.expect("labels").value, 0.8 / 3.0);
    assert_eq!(summary.micro_f1, None, "it would be the accuracy");
    let zero = &summary.classes[0];
    assert_eq!((zero.label.as_str(), zero.n, zero.n_answered, zero.n_right), ("0", 2, 3, 2));
    near(zero.precision.expect("answered"), 2.0 / 3.0);
    near(zero.recall.expect("in the data"), 1.0);
    near(zero.f1, 0.8);
    let most = Confused { truth: "2".to_owned(), answer: Some("1".to_owned()), n: 2 };
    assert_eq!(summary.confused.first(), Some(&most));
    assert_eq!(summary.confused.len(), 3, "what is right is not confused");
}

#[test]
fn a_label_that_the_data_do_not_have_is_not_in_the_mean() {
    let summary = tally(None, &[(label("a"), says("a")), (label("a"), says("b"))]);
    near(summary.macro_f1.expect("labels").value, 2.0 / 3.0);
    assert_eq!(summary.classes.len(), 2);
    assert_eq!(summary.classes[1].recall, None);
}

#[test]
fn whoever_is_not_sure_has_not_answered() {
    let rows = [(label("a"), says("a")), (label("b"), Answer::Label(None)), (label("b"), says("b"))];
    let summary = tally(None, &rows);
    let (share, right) = summary.answered.expect("not all answered");
    near(share.value, 2.0 / 3.0);
    near(right.expect("some answered").value, 1.0);
    near(summary.accuracy.expect("rows").value, 2.0 / 3.0);
    assert_eq!(summary.confused, [Confused { truth: "b".to_owned(), answer: None, n: 1 }]);
}

#[test]
fn a_label_for_none_of_them_is_told_apart_and_not_being_sure_is_to_give_it() {
    let rows = [
        (label("a"), says("a")),
        (label("a"), says("oos")),
        (label("oos"), says("oos")),
        (label("oos"), Answer::Label(None)),
        (label("oos"), says("a")),
    ];
    let summary = tally(Some("oos"), &rows);
    let scope = summary.scope.expect("rows that no label fits");
    near(scope.in_scope.expect("rows").value, 0.5);
    near(scope.outside.value, 2.0 / 3.0);
    near(summary.macro_f1.expect("labels").value, 0.5);
    assert_eq!(summary.answered, None);
}

#[test]
fn several_labels_are_right_together_and_counted_one_by_one() {
    let rows = [
        (Truth::Labels(words(&["a", "b"])), Answer::Labels(words(&["a", "b"]))),
        (Truth::Labels(words(&["a"])), Answer::Labels(words(&["a", "c"]))),
        (Truth::Labels(words(&["none"])), Answer::Labels(Vec::new())),
    ];
    let summary = tally(Some("none"), &rows);
    near(summary.accuracy.expect("rows").value, 2.0 / 3.0);
    near(summary.micro_f1.expect("labels").value, 6.0 / 7.0);
    near(summary.macro_f1.expect("labels").value, 1.0);
    near(summary.scope.expect("a row without labels").outside.value, 1.0);
}

#[test]
fn a_span_is_right_when_its_place_and_its_entity_are() {
    let truth = spans(&[(0, 4, "person"), (8, 12, "location"), (20, 24, "person"), (30, 34, "person")]);
    let answer = spans(&[(0, 4, "person"), (8, 12, "person"), (20, 26, "person"), (40, 44, "person")]);
    let summary = tally(
        None,
        &[
            (Truth::Spans(truth), Answer::Spans(answer)),
            (Truth::Spans(Vec::new()), Answer::Spans(Vec::new())),
        ],
    );
    near(summary.micro_f1.expect("spans").value, 0.25);
    near(summary.accuracy.expect("rows").value, 0.5);
    let errors = SpanErrors { entity: 1, bounds: 1, missed: 1, invented: 1 };
    assert_eq!(summary.span_errors, Some(errors));
    let confused = Confused { truth: "location".to_owned(), answer: Some("person".to_owned()), n: 1 };
    assert_eq!(summary.confused, [confused]);
}

#[test]
fn an_answer_of_another_kind_is_none() {
    let summary = tally(None, &[(label("a"), Answer::Spans(Vec::new()))]);
    near(summary.accuracy.expect("rows").value, 0.0);
}

#[test]
fn no_rows_have_no_measures() {
    let summary = tally(None, &[]);
    assert_eq!((summary.accuracy, summary.macro_f1, summary.micro_f1), (None, None, None));
}

#[test]
fn a_column_that_holds_no_labels_is_noticed() {
    let mut tally = Tally::new(None, 0);
    let error = (0..10_000).find_map(|row| tally.add(row, &label(&row.to_string()), &says("a")).err());
    assert!(error.expect("too many").to_string().contains("4096"));
}

/// Of 400 rows with two labels, 90 % right: sd of the accuracy is 1.5 points, and so about is that of macro-F1.
#[test]
fn the_interval_of_f1_is_as_wide_as_chance_makes_it() {
    let rows: Vec<_> = (0..400)
        .map(|row| {
            let (truth, other) = if row % 2 == 0 { ("a", "b") } else { ("b", "a") };
            (label(truth), says(if row % 10 == 0 || row % 20 == 1 { other } else { truth }))
        })
        .collect();
    let found = tally(None, &rows).macro_f1.expect("labels");
    let width = found.high - found.low;
    assert!((0.045..0.085).contains(&width), "{found:?}");
    assert!(found.low < found.value && found.value < found.high);
}

#[test]
fn texts_are_right_when_equal_and_otherwise_as_near_as_their_characters_are() {
    let row = |truth: &str, answer: &str| (Truth::Text(truth.to_owned()), Answer::Text(answer.to_owned()));
    let found = tally(None, &[row("eins", " eins\n"), row("zwei", "zwei"), row("drei", "dreist")]);
    near(found.accuracy.expect("rows").value, 2.0 / 3.0);
    let chrf = found.chrf.expect("of texts");
    assert!(chrf > 80.0 && chrf < 100.0, "{chrf}");
    assert_eq!((found.macro_f1, found.micro_f1, found.classes.len()), (None, None, 0));
    assert_eq!(tally(None, &[(label("a"), says("a"))]).chrf, None);
    let nothing = tally(None, &[(Truth::Text("eins".to_owned()), Answer::Label(None))]);
    assert_eq!(nothing.chrf, Some(0.0));
}

proptest! {
    // Each row is drawn a thousand times.
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_order_of_the_answers_makes_no_difference(rows in prop::collection::vec((0_u8..4, 0_u8..5), 1..30), seed: u64) {
        let add = |tally: &mut Tally, (row, (truth, answer)): (usize, &(u8, u8))| {
            let answer = (*answer < 4).then(|| answer.to_string());
            tally.add(row as u64, &label(&truth.to_string()), &Answer::Label(answer)).expect("few labels");
        };
        let (mut forward, mut backward) = (Tally::new(None, seed), Tally::new(None, seed));
        rows.iter().enumerate().for_each(|row| add(&mut forward, row));
        rows.iter().enumerate().rev().for_each(|row| add(&mut backward, row));
        let (forward, backward) = (forward.summary(), backward.summary());
        prop_assert_eq!(&forward.classes, &backward.classes);
        prop_assert_eq!(&forward.confused, &backward.confused);
        prop_assert_eq!(forward.accuracy, backward.accuracy);
        let (left, right) = (forward.macro_f1.expect("labels"), backward.macro_f1.expect("labels"));
        prop_assert!((left.low - right.low).abs() < 1e-9 && (left.high - right.high).abs() < 1e-9);
        prop_assert!(0.0 <= left.low && left.low <= left.value && left.value <= left.high && left.high <= 1.0);
    }
}
