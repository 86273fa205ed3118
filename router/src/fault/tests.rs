use nanogrid_telemetry::metrics::Registry;
use tokio::time::{advance, timeout};

use super::*;

fn faults(allowed: bool) -> Faults {
    Faults::new(allowed, 7, RouterMetrics::new(&Registry::new()))
}

fn name(name: &str) -> ExpertName {
    name.parse().expect("a name")
}

fn fault(share: f64, then: Then) -> Fault {
    Fault { expert: name("intent"), share, delay: Duration::ZERO, then, until: None }
}

const BROKEN: Then = Then::Fail(Code::Internal);

#[tokio::test(start_paused = true)]
async fn a_router_that_does_not_allow_faults_takes_none() {
    let faults = faults(false);
    let error = faults.set(vec![fault(1.0, BROKEN)]).unwrap_err();
    assert!(error.to_string().contains("`faults.allowed = true`"), "{error}");
    assert_eq!(faults.before(&name("intent")), None);
}

#[tokio::test(start_paused = true)]
async fn each_fault_meets_its_share_of_one_experts_calls() {
    let faults = faults(true);
    let slow = Fault { delay: Duration::from_secs(1), ..fault(0.25, Then::Send) };
    faults.set(vec![slow, fault(0.5, BROKEN)]).unwrap();
    let met: Vec<_> = (0..4_000).map(|_| faults.before(&name("intent"))).collect();
    let n_slow = met.iter().flatten().filter(|met| met.then == Then::Send).count();
    let n_broken = met.iter().flatten().filter(|met| met.then == BROKEN).count();
    assert!((900..1_100).contains(&n_slow), "{n_slow}");
    assert!((1_900..2_100).contains(&n_broken), "{n_broken}");
    assert!((0..100).all(|_| faults.before(&name("topic")).is_none()), "another expert is left alone");
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_meet_equal_calls() {
    let [left, right] = [faults(true), faults(true)].map(|faults| {
        faults.set(vec![fault(0.3, BROKEN)]).unwrap();
        (0..100).map(|_| faults.before(&name("intent")).is_some()).collect::<Vec<_>>()
    });
    assert_eq!(left, right);
}

#[tokio::test(start_paused = true)]
async fn a_full_share_meets_every_call_until_the_fault_ends_by_itself() {
    let faults = faults(true);
    let until = Some(Instant::now() + Duration::from_secs(5));
    faults.set(vec![Fault { until, ..fault(1.0, Then::Hang) }]).unwrap();
    assert!((0..1_000).all(|_| faults.before(&name("intent")).is_some()));
    advance(Duration::from_secs(5)).await;
    assert_eq!((faults.before(&name("intent")), faults.list()), (None, vec![]));
}

#[tokio::test(start_paused = true)]
async fn new_faults_take_the_place_of_all_before() {
    let faults = faults(true);
    faults.set(vec![fault(1.0, Then::Hang)]).unwrap();
    faults.set(vec![fault(1.0, BROKEN)]).unwrap();
    assert_eq!(faults.before(&name("intent")).map(|met| met.then), Some(BROKEN));
    faults.set(Vec::new()).unwrap();
    assert_eq!(faults.before(&name("intent")), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_held_up_and_then_goes_on_fails_or_hangs() {
    let happen = |then| Injected { delay: Duration::from_secs(2), then }.happen();
    let started = Instant::now();
    assert!(happen(Then::Send).await.is_ok());
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    assert_eq!(happen(BROKEN).await.unwrap_err().code(), Code::Internal);
    assert!(timeout(Duration::from_secs(3_600), happen(Then::Hang)).await.is_err());
}
