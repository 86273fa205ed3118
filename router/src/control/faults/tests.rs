use nanogrid_settings::Task;

use super::*;
use crate::catalog::Expert;

fn grid() -> Grid {
    let expert = |name| Expert::of(name, Task::TextClassification, &[(1, 10_000, None)]);
    Grid::of(["intent", "topic"].map(expert))
}

fn fault(change: impl FnOnce(&mut v1::Fault)) -> v1::Fault {
    let mut fault = v1::Fault { expert: "intent".to_owned(), share: 10.0, code: 14, ..Default::default() };
    change(&mut fault);
    fault
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[track_caller]
fn check(faults: Vec<v1::Fault>, expected: &str) {
    let error = inward(faults, &grid(), Instant::now()).expect_err(expected).to_string();
    assert!(error.contains(expected), "`{expected}` is not in: {error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_fault_is_named() {
    check(vec![fault(|fault| fault.expert = "nobody".to_owned())], "no expert `nobody`");
    for share in [0.0, -1.0, 100.5, f64::NAN, f64::INFINITY] {
        check(vec![fault(|fault| fault.share = share)], "faults.share: must");
    }
    check(vec![fault(|fault| fault.code = 17)], "faults.code: must be a gRPC status, 1 to 16: 17");
    check(vec![fault(|fault| fault.code = 0)], "one of `delay`, `code` and `drop`");
    check(vec![fault(|fault| fault.drop = true)], "faults.drop: must be false beside `code`");
    check(vec![fault(|fault| fault.delay = seconds(-1))], "faults.delay: must not be negative");
    check(
        vec![fault(|fault| fault.lasts = seconds(i64::MAX))],
        "faults.lasts: must not be negative, nor longer",
    );
    check(vec![fault(|fault| fault.lasts = seconds(0))], "faults.lasts: must be more than nothing");
    let two = |share| fault(|fault| fault.share = share);
    check(vec![two(60.0), two(41.0)], "must sum to at most 100 percent");
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_shown_as_it_was_set_with_the_time_left() {
    let now = Instant::now();
    let set = vec![
        fault(|fault| fault.lasts = seconds(30)),
        fault(|fault| (fault.delay, fault.code) = (seconds(2), 0)),
        fault(|fault| (fault.expert, fault.code, fault.drop) = ("topic".to_owned(), 0, true)),
    ];
    let faults = inward(set.clone(), &grid(), now).unwrap();
    let later = now + Duration::from_secs(10);
    let shown: Vec<_> = faults.into_iter().map(|fault| outward(fault, later)).collect();
    assert_eq!(shown[0], fault(|fault| fault.lasts = seconds(20)));
    assert_eq!(shown[1..], set[1..]);
}
