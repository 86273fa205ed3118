use nanogrid_serving::status::metadata;
use nanogrid_telemetry::metrics::{Registry, RouterMetrics};
use proptest::prelude::*;

use super::*;

fn admission(max_requests: usize, max_bytes: usize) -> (Arc<Admission>, Registry) {
    let registry = Registry::new();
    let metrics = RouterMetrics::new(&registry).admission();
    (Arc::new(Admission::new(max_requests, max_bytes, metrics)), registry)
}

/// How many of this criticality fit beside `n_held` of the most important.
fn n_admitted(criticality: Criticality, n_held: usize) -> usize {
    let (admission, _registry) = admission(100, usize::MAX);
    let held: Vec<_> = (0..n_held).map(|_| admission.admit(Criticality::CriticalPlus, 0).unwrap()).collect();
    let mut more = Vec::new();
    while let Ok(admitted) = admission.admit(criticality, 0) {
        more.push(admitted);
    }
    assert_eq!(admission.in_flight(), held.len() + more.len());
    more.len()
}

#[test]
fn the_least_important_are_refused_first() {
    assert_eq!(Criticality::ALL.map(|criticality| n_admitted(criticality, 0)), [50, 75, 95, 100]);
    assert_eq!(Criticality::ALL.map(|criticality| n_admitted(criticality, 80)), [0, 0, 15, 20]);
}

#[test]
fn a_refusal_says_when_to_try_again_and_is_counted() {
    let (admission, registry) = admission(1, usize::MAX);
    let _held = admission.admit(Criticality::Sheddable, 0).unwrap();
    let shed = admission.admit(Criticality::Critical, 0).unwrap_err();
    let status = shed.status();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    let pushback = status.metadata().get(metadata::RETRY_PUSHBACK).unwrap().to_str().unwrap();
    assert!(RETRY_AFTER_MS.contains(&pushback.parse().unwrap()), "{pushback}");
    let metrics = registry.encode();
    let counted = "nanogrid_shed_total{criticality=\"CRITICAL\",reason=\"in_flight\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("nanogrid_requests_in_flight 1"), "{metrics}");
    assert!(metrics.contains("nanogrid_requests_limit 1"), "{metrics}");
}

#[test]
fn what_cannot_be_known_before_reading_is_not_held_against_a_request() {
    let (admission, _registry) = admission(100, usize::MAX);
    let held: Vec<_> = (0..60).map(|_| admission.admit(Criticality::Critical, 0).unwrap()).collect();
    assert!(admission.has_room(Criticality::CriticalPlus, Criticality::Sheddable).is_ok());
    assert!(admission.has_room(Criticality::Sheddable, Criticality::Sheddable).is_err());
    drop(held);
    assert!(admission.has_room(Criticality::Sheddable, Criticality::Sheddable).is_ok());
}

#[test]
fn bytes_are_bounded_across_requests_that_arrive_and_requests_that_are_answered() {
    let (admission, registry) = admission(100, 1_000);
    let admitted = admission.admit(Criticality::Critical, 600).unwrap();
    let mut arriving = Arriving::new(admission.clone());
    arriving.more(300, Criticality::Critical).unwrap();
    let shed = arriving.more(101, Criticality::Critical).unwrap_err();
    assert_eq!(shed, Shed::Bytes { limit: 1_000 });
    assert!(admission.admit(Criticality::CriticalPlus, 101).is_err());
    assert_eq!(admission.in_flight(), 1, "what was refused for its bytes gave back its place");
    drop(admitted);
    arriving.more(700, Criticality::Critical).unwrap();
    drop(arriving);
    assert!(registry.encode().contains("nanogrid_request_bytes 0"));
}

proptest! {
    #[test]
    fn nothing_is_ever_taken_beyond_the_limits_and_all_is_given_back(
        requests in proptest::collection::vec((0_usize..4, 0_usize..400, any::<bool>()), 0..200),
    ) {
        let (admission, _registry) = admission(20, 1_000);
        let mut held = Vec::new();
        for (class, n_bytes, leaves) in requests {
            let criticality = Criticality::ALL[class];
            let before = admission.in_flight();
            match admission.admit(criticality, n_bytes) {
                Ok(admitted) => held.push(admitted),
                Err(Shed::InFlight { .. }) => prop_assert!(before >= criticality.share_of(20)),
                Err(Shed::Bytes { .. }) => prop_assert_eq!(admission.in_flight(), before),
            }
            prop_assert!(admission.in_flight() <= 20);
            prop_assert!(admission.bytes.load(Ordering::Relaxed) <= 1_000);
            if leaves && !held.is_empty() {
                drop(held.remove(0));
            }
        }
        drop(held);
        prop_assert_eq!((admission.in_flight(), admission.bytes.load(Ordering::Relaxed)), (0, 0));
    }
}
