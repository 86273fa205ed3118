use super::*;

fn failed(kind: &str, reason: &str) -> Seen {
    let failure = Failure { kind: kind.to_owned(), expert: None, reason: reason.to_owned() };
    let (due, ended) = (Duration::ZERO, Duration::from_millis(900));
    Seen { expert: None, due, ended, failure: Some(failure), is_timed: false }
}

fn answered(took_ms: u64) -> Seen {
    let ended = Duration::from_millis(took_ms);
    Seen { expert: None, due: Duration::ZERO, ended, failure: None, is_timed: true }
}

#[test]
fn failures_of_one_kind_are_counted_together_the_most_frequent_first() {
    let calls = [failed("A", "one"), failed("B", "two"), answered(1), failed("B", "three")];
    let counted = reasons(calls.iter());
    let told: Vec<(&str, &str, u64)> = counted
        .iter()
        .map(|reason| (reason.failure.kind.as_str(), reason.failure.reason.as_str(), reason.n))
        .collect();
    assert_eq!(told, [("B", "two", 2), ("A", "one", 1)]);
}

#[test]
fn a_failure_that_comes_fast_does_not_flatter_the_percentiles() {
    let calls = [answered(4), failed("A", ""), answered(6)];
    let row = Row::of_calls("during", calls.iter());
    assert_eq!((row.requests, row.failed), (3, 1));
    assert!((5.9..6.1).contains(&row.p99_ms), "{row:?}");
}

#[test]
fn a_promise_that_was_not_kept_is_told_with_what_was_seen() {
    let mut report = Report::new("two replicas".to_owned());
    report.scenario = "kill".to_owned();
    report.promise("no failed request", true, "0 of 10");
    assert!(report.broken().is_empty());
    report.promise("it comes back", false, "not at all");
    assert_eq!(report.broken(), ["kill: it comes back: not at all"]);
    let text = report.to_string();
    assert!(text.contains("PASS  no failed request: 0 of 10\n  FAIL  it comes back: not at all"), "{text}");
}

#[test]
fn only_what_the_router_counted_is_shown() {
    let mut report = Report::new("two replicas".to_owned());
    report.router.attempts = [("first".to_owned(), 10.0), ("retry".to_owned(), 2.0)].into();
    let text = report.to_string();
    assert!(text.contains("attempts: 10 first, 2 retry"), "{text}");
    assert!(!text.contains("hedges"), "{text}");
}
