use bytes::Bytes;
use nanogrid_rollout::Tally;
use nanogrid_telemetry::metrics::{Registry, RouterMetrics};

use super::*;

const WATCH: Watch = Watch { stable: 1, canary: 2, share: 1.0 };
const QUICK: Duration = Duration::from_millis(5);
const SLOW: Duration = Duration::from_millis(50);

struct Watching {
    subject: Subject,
    registry: Registry,
}

fn watching() -> Watching {
    let registry = Registry::new();
    let metrics = RouterMetrics::new(&registry).shadow("intent");
    let subject = Subject::new("intent".parse().expect("a name"), metrics);
    subject.watch(Some(WATCH));
    subject.slow_above(Some(Duration::from_millis(10)));
    Watching { subject, registry }
}

fn twin() -> Twin {
    Twin { answer: None, has_failed: false, is_hedged: false, took: QUICK, trace_id: None }
}

fn rows(label: &'static str) -> Result<Vec<Row>, String> {
    Ok(vec![Row::Labels(vec![(Bytes::from_static(label.as_bytes()), 0.9)])])
}

fn answered(took: Duration, rows: Result<Vec<Row>, String>) -> Ended {
    Ended::Answered { took, rows }
}

const fn tally(n: u64, bad: u64) -> Tally {
    Tally { n, bad }
}

impl Watching {
    fn compared(&self, twin: &Twin, live: Rows, ended: Ended) -> Copies {
        self.subject.compared(WATCH, twin, live, ended, None);
        self.subject.take()
    }

    #[track_caller]
    fn counted(&self, result: &str, n: usize) {
        let line = format!("nanogrid_shadow_total{{expert=\"intent\",result=\"{result}\"}} {n}");
        let text = self.registry.encode();
        assert!(text.lines().any(|found| found == line), "no {line} in:\n{text}");
    }
}

#[test]
fn a_pair_counts_on_both_sides() {
    let watching = watching();
    let Copies { seen, invalid } = watching.compared(&twin(), Some(rows("a")), answered(SLOW, rows("b")));
    assert_eq!((seen.errors.stable, seen.errors.canary), (tally(1, 0), tally(1, 0)));
    assert_eq!((seen.slow.stable, seen.slow.canary), (tally(1, 0), tally(1, 1)));
    assert_eq!((seen.compared, seen.floor, invalid), (tally(1, 1), tally(0, 0), 0));
    watching.counted("differed", 1);
    assert_eq!(watching.subject.take(), Copies::default(), "once");
}

#[test]
fn a_candidate_that_fails_where_the_live_version_did_too_is_no_worse() {
    let watching = watching();
    let failed = Twin { has_failed: true, ..twin() };
    let Copies { seen, .. } = watching.compared(&failed, None, Ended::Failed);
    assert_eq!((seen.errors.stable, seen.errors.canary), (tally(1, 1), tally(1, 1)));
    let Copies { seen, .. } = watching.compared(&twin(), Some(rows("a")), Ended::Failed);
    assert_eq!((seen.errors.stable, seen.errors.canary), (tally(1, 0), tally(1, 1)));
    // A second try got an answer, which is as good as any to compare with; its time is not.
    let Copies { seen, .. } = watching.compared(&failed, Some(rows("a")), answered(SLOW, rows("a")));
    assert_eq!((seen.errors.stable, seen.errors.canary), (tally(1, 1), tally(1, 0)));
    assert_eq!((seen.slow.stable, seen.slow.canary, seen.compared), (tally(0, 0), tally(0, 0), tally(1, 0)));
}

#[test]
fn what_a_hedge_has_saved_was_slow() {
    let watching = watching();
    let hedged = Twin { is_hedged: true, ..twin() };
    let Copies { seen, .. } = watching.compared(&hedged, Some(rows("a")), answered(QUICK, rows("a")));
    assert_eq!((seen.slow.stable, seen.slow.canary), (tally(1, 1), tally(1, 0)));
}

#[test]
fn an_answer_that_is_none_is_an_error_and_more() {
    let watching = watching();
    let broken = || Err("output `score` holds what is not a number".to_owned());
    let Copies { seen, invalid } = watching.compared(&twin(), Some(rows("a")), answered(QUICK, broken()));
    assert_eq!((seen.errors.canary, seen.compared, invalid), (tally(1, 1), tally(0, 0), 1));
    let other_task = Ok(vec![Row::Text("a".to_owned())]);
    let Copies { invalid, .. } = watching.compared(&twin(), Some(rows("a")), answered(QUICK, other_task));
    assert_eq!(invalid, 1);
    let no_rows = Ok(Vec::new());
    let Copies { invalid, .. } = watching.compared(&twin(), Some(rows("a")), answered(QUICK, no_rows));
    assert_eq!(invalid, 1);
    // Both: the input is to blame.
    let Copies { seen, invalid } = watching.compared(&twin(), Some(broken()), answered(QUICK, broken()));
    assert_eq!((seen.errors.stable, seen.errors.canary, invalid), (tally(1, 1), tally(1, 1), 0));
    watching.counted("invalid", 4);
}

#[test]
fn what_says_nothing_counts_as_nothing() {
    let watching = watching();
    assert_eq!(watching.compared(&twin(), Some(rows("a")), Ended::Nothing), Copies::default());
    watching.counted("dropped", 1);
}

#[test]
fn the_floor_is_what_endpoints_of_one_version_differ_by() {
    let watching = watching();
    watching.subject.looked_at_floor(WATCH, Some(rows("a")), answered(SLOW, rows("a")));
    watching.subject.looked_at_floor(WATCH, Some(rows("a")), answered(SLOW, rows("b")));
    watching.subject.looked_at_floor(WATCH, Some(rows("a")), Ended::Failed);
    let seen = Seen { floor: tally(2, 1), ..Seen::default() };
    assert_eq!(watching.subject.take(), Copies { seen, invalid: 0 });
    watching.counted("floor_differed", 1);
    watching.counted("dropped", 1);
}

#[test]
fn copies_of_another_rollout_are_no_evidence() {
    let Watching { subject, .. } = watching();
    subject.compared(WATCH, &twin(), Some(rows("a")), Ended::Failed, None);
    subject.watch(Some(Watch { share: 0.5, ..WATCH }));
    assert_eq!(subject.take().seen.errors.canary, tally(1, 1), "the same versions, another share");
    subject.watch(Some(Watch { canary: 3, ..WATCH }));
    subject.compared(WATCH, &twin(), Some(rows("a")), Ended::Failed, None);
    assert_eq!(subject.take(), Copies::default());
    subject.watch(None);
    subject.compared(WATCH, &twin(), Some(rows("a")), Ended::Failed, None);
    assert_eq!(subject.take(), Copies::default());
}

#[test]
fn disagreements_are_kept_without_what_clients_say_unless_that_may_be() {
    let Watching { subject, .. } = watching();
    let text = |text: &str| Ok(vec![Row::Text(text.to_owned())]);
    let differ = |payload| {
        let ended = answered(QUICK, text("quite another"));
        subject.compared(WATCH, &twin(), Some(text("one answer")), ended, payload);
    };
    differ(None);
    differ(Some("hello".into()));
    subject.compared(WATCH, &twin(), Some(text("same")), answered(QUICK, text("same")), None);
    let [quoted, redacted] = &subject.disagreements(usize::MAX)[..] else { panic!("two") };
    assert_eq!(&*redacted.stable_answer, "10 characters of text");
    assert_eq!((&redacted.payload, redacted.stable, redacted.canary), (&None, 1, 2));
    assert_eq!((&*quoted.stable_answer, quoted.payload.as_deref()), ("one answer", Some("hello")));
    assert!(quoted.distance > 0.1);
}

#[test]
fn there_is_room_for_so_many_or_for_one_that_is_large() {
    let watching = watching();
    let places: Vec<_> = (0..PLACES).map(|_| watching.subject.room(100).expect("room")).collect();
    assert!(watching.subject.room(100).is_none());
    watching.counted("dropped", 1);
    drop(places);
    watching.subject.has_room();
    let large = watching.subject.room(64 << 20).expect("alone");
    assert!(watching.subject.room(0).is_none());
    drop(large);
}
