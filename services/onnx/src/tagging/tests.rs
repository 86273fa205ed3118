use super::*;

const LABELS: [&str; 5] = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

fn tagging(labels: &[&str]) -> Result<Tagging, String> {
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    let ranking = Ranking::softmax(&labels);
    read(&labels).map(|(labels, entities)| Tagging { labels, entities, ranking })
}

/// Words of two bytes with a blank between them, one token each. Each has one label that is likely, and perhaps another that
/// is nearly so.
#[track_caller]
fn check(words: &[(&str, Option<&str>)], expected: &[(&str, usize, usize)]) {
    let tagging = tagging(&LABELS).unwrap();
    let of = |label: &str| LABELS.iter().position(|known| *known == label).unwrap();
    let mut logits = vec![0.0; words.len() * LABELS.len()];
    for (word, (likely, nearly)) in words.iter().enumerate() {
        logits[word * LABELS.len() + of(likely)] = 5.0;
        if let Some(nearly) = nearly {
            logits[word * LABELS.len() + of(nearly)] = 4.5;
        }
    }
    let words: Vec<_> =
        (0..words.len()).map(|word| Word { first: word, start: 3 * word, end: 3 * word + 2 }).collect();
    let found = tagging.spans(&logits, &words);
    let places: Vec<_> = found.iter().map(|span| (span.entity, span.start, span.end)).collect();
    assert_eq!(places, expected);
    assert!(found.iter().all(|span| span.score > 0.0 && span.score <= 1.0), "{found:?}");
}

#[test]
fn words_of_one_entity_are_one_span_and_a_new_beginning_is_another() {
    check(&[("O", None), ("B-PER", None), ("I-PER", None), ("O", None)], &[("PER", 3, 8)]);
    check(&[("B-PER", None), ("B-PER", None)], &[("PER", 0, 2), ("PER", 3, 5)]);
    check(&[("B-PER", None), ("B-LOC", None), ("I-LOC", None)], &[("PER", 0, 2), ("LOC", 3, 8)]);
    check(&[("O", None), ("O", None)], &[]);
    check(&[], &[]);
}

#[test]
fn no_entity_begins_in_its_middle() {
    // Whichever is likelier: that it began, or that it is none.
    check(&[("O", Some("B-PER")), ("I-PER", None)], &[("PER", 0, 5)]);
    check(&[("O", None), ("I-PER", Some("O"))], &[]);
    check(&[("B-PER", None), ("I-LOC", Some("I-PER"))], &[("PER", 0, 5)]);
    check(&[("I-LOC", Some("B-LOC")), ("I-LOC", None)], &[("LOC", 0, 5)]);
}

#[test]
fn a_spans_score_is_the_mean_of_its_words() {
    let tagging = tagging(&["O", "B-PER", "I-PER"]).unwrap();
    let words = [Word { first: 1, start: 0, end: 2 }, Word { first: 3, start: 3, end: 9 }];
    // Of four tokens only the first of each word counts.
    let logits = [9.0, 0.0, 0.0, 0.0, 4.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 2.0];
    let found = tagging.spans(&logits, &words);
    let of = |logit: f32| logit.exp() / (logit.exp() + 2.0);
    assert_eq!(found.len(), 1);
    assert!((found[0].score - f32::midpoint(of(4.0), of(2.0))).abs() < 1e-6, "{found:?}");
    assert_eq!((found[0].start, found[0].end), (0, 9));
}

#[test]
fn logits_that_are_not_there_and_huge_ones_break_nothing() {
    let tagging = tagging(&["O", "B-PER", "I-PER"]).unwrap();
    let words = [Word { first: 0, start: 0, end: 2 }, Word { first: 7, start: 3, end: 5 }];
    assert_eq!(tagging.spans(&[0.0, 3e38, -3e38], &words).len(), 1);
    assert_eq!(tagging.spans(&[], &words), []);
}

#[test]
fn labels_of_another_scheme_are_refused_by_name() {
    for (labels, expected) in [
        (&["O", "S-PER", "B-PER"][..], "`S-PER` is neither"),
        (&["O", "PER"], "`PER` is neither"),
        (&["B-PER", "I-PER"], "there is no `O`"),
        (&["O", "I-PER"], "`I-PER` has no `B-PER`"),
        (&["O", "B-"], "`B-` is neither"),
    ] {
        let problem = tagging(labels).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
    // A name may hold a hyphen, and an entity of one word needs no `I-`.
    assert_eq!(tagging(&["O", "B-creative-work"]).unwrap().entities, ["creative-work"]);
}
