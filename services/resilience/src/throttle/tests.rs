use rand::{SeedableRng, rngs::StdRng};
use tokio::time::advance;

use super::*;

/// Offers calls to a backend with room for one in `one_in` of them; returns how many were sent.
fn offer(throttle: &Throttle, n_calls: u32, one_in: u32) -> u32 {
    let mut random = StdRng::seed_from_u64(1);
    let (mut n_sent, mut room) = (0, 0);
    for call in 1..=n_calls {
        room += u32::from(call % one_in == 0);
        if throttle.admit(&mut random) {
            throttle.record(room > 0);
            room = room.saturating_sub(1);
            n_sent += 1;
        }
    }
    n_sent
}

#[tokio::test(start_paused = true)]
async fn lets_everything_through_while_half_is_accepted() {
    assert_eq!(offer(&Throttle::new(), 10_000, 1), 10_000);
    assert_eq!(offer(&Throttle::new(), 10_000, 2), 10_000);
}

#[tokio::test(start_paused = true)]
async fn sends_about_twice_what_is_accepted() {
    let n_sent = offer(&Throttle::new(), 100_000, 4);
    assert!((45_000..55_000).contains(&n_sent), "{n_sent} of 100000, of which a quarter is accepted");
}

#[tokio::test(start_paused = true)]
async fn never_holds_back_more_than_four_in_five() {
    let throttle = Throttle::new();
    offer(&throttle, 1_000, u32::MAX);
    let n_sent = offer(&throttle, 100_000, u32::MAX);
    assert!((19_000..21_000).contains(&n_sent), "{n_sent}");
}

#[tokio::test(start_paused = true)]
async fn a_few_refusals_are_no_evidence() {
    let throttle = Throttle::new();
    (0..20).for_each(|_| throttle.record(false));
    assert!((0..1_000).all(|seed| throttle.admit(&mut StdRng::seed_from_u64(seed))));
}

#[tokio::test(start_paused = true)]
async fn a_burst_without_answers_yet_is_no_evidence() {
    let (throttle, mut random) = (Throttle::new(), StdRng::seed_from_u64(1));
    assert!((0..1_000).all(|_| throttle.admit(&mut random)));
}

#[tokio::test(start_paused = true)]
async fn forgets_after_half_a_minute() {
    let throttle = Throttle::new();
    offer(&throttle, 10_000, u32::MAX);
    advance(WINDOW + WINDOW / 10).await;
    assert_eq!(offer(&throttle, 10, 1), 10);
}
