use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;

fn labels(labels: &[(&'static str, f32)]) -> Row {
    Row::Labels(labels.iter().map(|(label, score)| (Bytes::from_static(label.as_bytes()), *score)).collect())
}

fn spans(spans: &[(i32, i32, &'static str)]) -> Row {
    let span = |(start, end, entity): &(i32, i32, &'static str)| Span {
        row: 0,
        start: *start,
        end: *end,
        entity: Bytes::from_static(entity.as_bytes()),
        score: 0.9,
    };
    Row::Spans(spans.iter().map(span).collect())
}

fn text(text: &str) -> Row {
    Row::Text(text.to_owned())
}

fn tensor(name: &str, data: Data) -> Row {
    Row::Tensors(vec![Tensor { name: name.to_owned(), shape: vec![data.len()], data }])
}

/// Both ways round.
#[track_caller]
fn check(one: &Row, other: &Row, distance: f64, differs: bool) {
    for found in [compare(one, other), compare(other, one)] {
        let found = found.expect("of one kind");
        assert!((found.distance - distance).abs() < 1e-6, "{found:?} instead of {distance}");
        assert_eq!(found.differs, differs, "{found:?}");
    }
}

#[test]
fn the_best_label_is_the_answer_and_its_score_is_not() {
    let transfer = labels(&[("transfer", 0.9), ("balance", 0.1)]);
    check(&transfer, &transfer, 0.0, false);
    check(&transfer, &labels(&[("transfer", 0.5), ("balance", 0.5)]), 0.2, false);
    check(&transfer, &labels(&[("transfer", 0.9), ("card", 0.1)]), 0.05, false);
    check(&transfer, &labels(&[("transfer", 0.9)]), 0.05, false);
    check(&transfer, &labels(&[("balance", 0.51), ("transfer", 0.49)]), 1.0, true);
    check(&transfer, &labels(&[]), 1.0, true);
    check(&labels(&[("a", f32::INFINITY)]), &labels(&[("a", 0.1)]), 0.5, false);
}

#[test]
fn spans_are_found_at_their_place_or_not() {
    let both = spans(&[(0, 5, "PER"), (7, 9, "LOC")]);
    check(&both, &spans(&[(7, 9, "LOC"), (0, 5, "PER")]), 0.0, false);
    check(&both, &spans(&[(0, 5, "PER")]), 1.0 / 3.0, true);
    check(&both, &spans(&[(0, 5, "ORG"), (7, 9, "LOC")]), 0.5, true);
    check(&both, &spans(&[]), 1.0, true);
    check(&spans(&[]), &spans(&[]), 0.0, false);
    // The same one twice is found once.
    check(&spans(&[(0, 5, "PER"), (0, 5, "PER")]), &spans(&[(0, 5, "PER")]), 1.0 / 3.0, true);
}

#[test]
fn texts_differ_when_more_than_a_tenth_is_other() {
    check(&text("the cat sat down"), &text("the cat sat down"), 0.0, false);
    check(&text("the cat sat down"), &text("the cat sat down."), 1.0 / 17.0, false);
    check(&text("the cat sat down"), &text("the dog sat down"), 3.0 / 16.0, true);
    check(&text(""), &text("something"), 1.0, true);
    // By characters, not by bytes.
    check(&text("Größe"), &text("Grösse"), 2.0 / 6.0, true);
}

#[test]
fn a_long_text_is_judged_by_the_first_thousand_characters_that_may_differ() {
    let (same, one, other) = ("x".repeat(50_000), "y".repeat(50_000), "z".repeat(50_000));
    check(&text(&(same.clone() + &one)), &text(&(same + &other)), 0.5, true);
    check(&text(&one), &text(&other), 1.0, true);
}

#[test]
fn vectors_are_directions() {
    let vector = |values: &[f32]| Row::Vector(values.to_vec());
    check(&vector(&[1.0, 0.0]), &vector(&[2.0, 0.0]), 0.0, false);
    check(&vector(&[1.0, 0.0]), &vector(&[0.995, 0.1]), 0.005_012_4, false);
    check(&vector(&[1.0, 0.0]), &vector(&[0.9, 0.2]), 0.023_813, true);
    check(&vector(&[1.0, 0.0]), &vector(&[0.0, 1.0]), 1.0, true);
    check(&vector(&[1.0, 0.0]), &vector(&[-1.0, 0.0]), 1.0, true);
    check(&vector(&[1.0, 0.0]), &vector(&[1.0]), 1.0, true);
    check(&vector(&[0.0]), &vector(&[1.0]), 1.0, true);
    check(&vector(&[f32::MAX; 8]), &vector(&[f32::MAX; 8]), 0.0, false);
    check(&vector(&[f32::INFINITY]), &vector(&[1.0]), 1.0, true);
}

#[test]
fn numbers_differ_by_their_part_of_the_largest() {
    let scores = |values: &[f32]| Row::Scores(values.to_vec());
    check(&scores(&[0.0, 2.0]), &scores(&[0.09, 2.0]), 0.045, false);
    check(&scores(&[0.0, 2.0]), &scores(&[0.2, 2.0]), 0.1, true);
    check(&scores(&[1.0]), &scores(&[-1.0]), 1.0, true);
    check(&scores(&[1.0]), &scores(&[1.0, 1.0]), 1.0, true);
    check(&scores(&[f32::NEG_INFINITY, 1.0]), &scores(&[f32::NEG_INFINITY, 1.0]), 0.0, false);
    check(&scores(&[f32::NEG_INFINITY, 1.0]), &scores(&[0.0, 1.0]), 1.0, true);
    check(&scores(&[]), &scores(&[]), 0.0, false);
}

#[test]
fn tensors_are_compared_by_name_and_by_what_they_hold() {
    let floats = |values: &[f64]| tensor("y", Data::F64(values.to_vec()));
    check(&floats(&[1.0, 100.0]), &floats(&[2.0, 100.0]), 0.01, false);
    check(&floats(&[1.0, 100.0]), &floats(&[1.0, 50.0]), 0.5, true);
    check(&floats(&[1.0]), &tensor("z", Data::F64(vec![1.0])), 1.0, true);
    check(&floats(&[1.0]), &tensor("y", Data::F32(vec![1.0])), 1.0, true);
    let ids = |values: &[i64]| tensor("ids", Data::I64(values.to_vec()));
    check(&ids(&[1, 2, 3, 4]), &ids(&[1, 2, 3, 5]), 0.25, true);
    let half = |value: f32| tensor("y", Data::F16(vec![f16::from_f32(value).to_bits()]));
    check(&half(1.0), &half(0.5), 0.5, true);
}

#[test]
fn a_sound_is_as_long_as_it_is() {
    let sound = |n| Row::Sound(vec![7; n].into());
    check(&sound(100), &sound(95), 0.05, false);
    check(&sound(100), &sound(50), 0.5, true);
}

#[test]
fn answers_of_different_kinds_are_not_compared() {
    assert_eq!(compare(&text("a"), &labels(&[("a", 1.0)])), None);
}

/// Any two rows of one kind, often alike.
fn pair() -> impl Strategy<Value = (Row, Row)> {
    fn two<T: Clone + std::fmt::Debug + 'static>(
        one: impl Strategy<Value = T> + Clone + 'static,
        row: fn(T) -> Row,
    ) -> BoxedStrategy<(Row, Row)> {
        let equal = one.clone().prop_map(move |one| (row(one.clone()), row(one)));
        let other = (one.clone(), one).prop_map(move |(one, other)| (row(one), row(other)));
        prop_oneof![1 => equal, 4 => other].boxed()
    }
    let number = prop_oneof![
        4 => -2.0_f32..2.0,
        1 => any::<f32>().prop_filter("is a number", |number| !number.is_nan())
    ];
    let word = "[ab]{0,3}";
    let label = (word, number.clone()).prop_map(|(label, score)| (Bytes::from(label), score));
    let span = (0..2_i32, 0..3_i32, 0..3_i32, word, 0.0_f32..1.0)
        .prop_map(|(row, start, end, entity, score)| Span { row, start, end, entity: entity.into(), score });
    let numbers = vec(number, 0..5);
    prop_oneof![
        two(vec(label, 0..4), Row::Labels),
        two(vec(span, 0..4), Row::Spans),
        two(".{0,12}", Row::Text),
        two(numbers.clone(), Row::Vector),
        two(numbers.clone(), Row::Scores),
        two(vec(any::<u8>(), 0..9), |sound| Row::Sound(sound.into())),
        two(numbers, |numbers| tensor("y", Data::F32(numbers))),
        two(vec(0..3_i64, 0..5), |ids| tensor("ids", Data::I64(ids))),
    ]
}

proptest! {
    #[test]
    fn a_distance_is_one((one, other) in pair()) {
        let found = compare(&one, &other).expect("of one kind");
        prop_assert_eq!(Some(found), compare(&other, &one), "from both sides");
        prop_assert!((0.0..=1.0).contains(&found.distance), "{:?}", found);
        prop_assert_eq!(found.distance == 0.0, one == other, "{:?}", found);
        prop_assert!(!found.differs || found.distance > 0.0);
    }
}
