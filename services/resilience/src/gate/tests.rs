//! The rules of the gate one by one, in paused time.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, advance},
};

use super::{Gate, GateSettings, Permit, Refused, ShedReason};
use crate::{CODEL_TARGET, Criticality, LimitSettings};

const MS: Duration = Duration::from_millis(1);

fn gate(limit: usize, queue: usize) -> Arc<Gate> {
    let limit = LimitSettings { initial: limit, least: 1, most: 64 };
    Gate::new(GateSettings { limit, queue, target: CODEL_TARGET })
}

/// Asks on a task of its own, and returns once it is inside, in the queue, or turned away.
async fn ask(
    gate: &Arc<Gate>,
    class: Criticality,
    deadline: Option<Instant>,
) -> JoinHandle<Result<Permit, Refused>> {
    let gate = Arc::clone(gate);
    let asked = tokio::spawn(async move { gate.enter(class, deadline).await });
    yield_now().await;
    asked
}

async fn critical(gate: &Arc<Gate>) -> JoinHandle<Result<Permit, Refused>> {
    ask(gate, Criticality::Critical, None).await
}

async fn inside(asked: JoinHandle<Result<Permit, Refused>>) -> Permit {
    assert!(asked.is_finished(), "still waits");
    asked.await.unwrap().unwrap()
}

#[track_caller]
fn shed(refused: Refused) -> (ShedReason, Duration) {
    match refused {
        Refused::Shed { reason, retry_after } => (reason, retry_after),
        Refused::DeadlineExceeded => panic!("not shed"),
    }
}

/// Lets the gate see work of this length, so that it knows what is quick and what is slow.
async fn accustomed(gate: &Arc<Gate>, own: Duration) {
    for _ in 0..10 {
        let permit = gate.enter(Criticality::CriticalPlus, None).await.unwrap();
        advance(own).await;
        permit.succeeded(own);
    }
}

#[tokio::test(start_paused = true)]
async fn lets_in_up_to_the_limit_and_the_next_when_one_leaves() {
    let gate = gate(2, 8);
    let a = inside(critical(&gate).await).await;
    let _b = inside(critical(&gate).await).await;
    let c = critical(&gate).await;
    assert!(!c.is_finished());
    assert_eq!((gate.now().in_flight, gate.now().waiting), (2, 1));
    advance(3 * MS).await;
    drop(a);
    yield_now().await;
    assert_eq!(inside(c).await.waited(), 3 * MS);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_comes_first_and_the_more_important_before_it() {
    let gate = gate(1, 8);
    let running = inside(critical(&gate).await).await;
    let old = critical(&gate).await;
    let new = critical(&gate).await;
    let important = ask(&gate, Criticality::CriticalPlus, None).await;
    drop(running);
    yield_now().await;
    drop(inside(important).await);
    yield_now().await;
    drop(inside(old).await);
    yield_now().await;
    drop(inside(new).await);
    assert_eq!(gate.now().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn sheddable_requests_leave_half_of_the_limit_and_half_of_the_queue_to_the_others() {
    let gate = gate(4, 4);
    let _inside = [
        inside(ask(&gate, Criticality::Sheddable, None).await).await,
        inside(ask(&gate, Criticality::Sheddable, None).await).await,
    ];
    let mut queued = Vec::new();
    for _ in 0..2 {
        queued.push(ask(&gate, Criticality::Sheddable, None).await);
    }
    assert!(queued.iter().all(|asked| !asked.is_finished()));
    let refused = ask(&gate, Criticality::Sheddable, None).await.await.unwrap().unwrap_err();
    assert_eq!(shed(refused).0, ShedReason::Full);
    let _critical = [inside(critical(&gate).await).await, inside(critical(&gate).await).await];
    assert!(!critical(&gate).await.is_finished(), "the limit is reached, the queue has room");
}

#[tokio::test(start_paused = true)]
async fn who_waits_makes_way_for_the_more_important_when_the_queue_is_full() {
    let gate = gate(1, 2);
    let _running = inside(critical(&gate).await).await;
    let sheddable = ask(&gate, Criticality::Sheddable, None).await;
    let first = critical(&gate).await;
    let second = critical(&gate).await;
    assert_eq!(shed(sheddable.await.unwrap().unwrap_err()).0, ShedReason::Full);
    assert!(!first.is_finished() && !second.is_finished());
    assert_eq!(
        shed(critical(&gate).await.await.unwrap().unwrap_err()).0,
        ShedReason::Full,
        "nobody is below it"
    );
    assert_eq!(gate.now().waiting, 2);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_stands_gives_up_the_old_and_serves_the_newest() {
    let gate = gate(1, 8);
    let running = inside(critical(&gate).await).await;
    let stands = critical(&gate).await;
    advance(101 * MS).await;
    let newer = critical(&gate).await;
    assert_eq!(shed(stands.await.unwrap().unwrap_err()).0, ShedReason::Waited, "when the next one comes");
    let newest = critical(&gate).await;
    assert!(gate.now().overloaded);
    drop(running);
    yield_now().await;
    drop(inside(newest).await);
    yield_now().await;
    drop(inside(newer).await);
    assert!(!gate.now().overloaded, "nobody waits");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_and_frees_the_place() {
    let gate = gate(1, 1);
    let running = inside(critical(&gate).await).await;
    let hasty = ask(&gate, Criticality::Critical, Some(Instant::now() + MS)).await;
    assert_eq!(hasty.await.unwrap().unwrap_err(), Refused::DeadlineExceeded);
    let patient = critical(&gate).await;
    assert!(!patient.is_finished(), "there is a place again");
    drop(running);
    yield_now().await;
    drop(inside(patient).await);
    assert_eq!(gate.now().in_flight, 0, "and who had left holds no permit");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_with_its_turn_unread_gives_it_back() {
    let gate = gate(1, 8);
    let running = inside(critical(&gate).await).await;
    let leaves = critical(&gate).await;
    drop(running);
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    assert_eq!(gate.now().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_less_time_left_than_any_answer_takes_is_not_let_in_late() {
    let gate = gate(1, 8);
    accustomed(&gate, 20 * MS).await;
    let running = inside(ask(&gate, Criticality::CriticalPlus, None).await).await;
    let fills = gate.now().limit - 1;
    let mut others = Vec::new();
    for _ in 0..fills {
        others.push(inside(ask(&gate, Criticality::CriticalPlus, None).await).await);
    }
    let doomed = ask(&gate, Criticality::CriticalPlus, Some(Instant::now() + 25 * MS)).await;
    advance(10 * MS).await;
    drop(running);
    yield_now().await;
    assert!(doomed.is_finished(), "15 ms left of the 20 that it takes");
    assert_eq!(doomed.await.unwrap().unwrap_err(), Refused::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn an_idle_gate_lets_in_even_the_hopeless_or_it_would_never_learn_better() {
    let gate = gate(4, 8);
    accustomed(&gate, 20 * MS).await;
    assert!(gate.enter(Criticality::Critical, Some(Instant::now() + MS)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_pushback_is_the_time_until_there_is_room_for_the_class() {
    let gate = gate(2, 1);
    accustomed(&gate, 20 * MS).await;
    let _inside = [inside(critical(&gate).await).await, inside(critical(&gate).await).await];
    let _waits = critical(&gate).await;
    let after = async |class| shed(ask(&gate, class, None).await.await.unwrap().unwrap_err()).1;
    // Four of them and two may be in flight; of the sheddable ones one.
    assert_eq!(after(Criticality::Critical).await, 40 * MS);
    assert_eq!(after(Criticality::Sheddable).await, 60 * MS);
}

#[tokio::test(start_paused = true)]
async fn deadlines_that_nobody_could_meet_do_not_shrink_the_limit() {
    let gate = gate(16, 8);
    accustomed(&gate, 20 * MS).await;
    let before = gate.now().limit;
    let miss = async |within: Duration| {
        for _ in 0..100 {
            let permit = gate.enter(Criticality::Critical, Some(Instant::now() + within)).await.unwrap();
            advance(within).await;
            drop(permit);
        }
    };
    miss(MS).await;
    assert_eq!(gate.now().limit, before);
    miss(60 * MS).await;
    assert!(gate.now().limit <= before / 2, "{}", gate.now().limit);
}

#[tokio::test(start_paused = true)]
async fn callers_who_leave_before_their_deadline_do_not_shrink_the_limit() {
    let gate = gate(16, 8);
    accustomed(&gate, 20 * MS).await;
    let before = gate.now().limit;
    for _ in 0..100 {
        drop(gate.enter(Criticality::Critical, Some(Instant::now() + 60 * MS)).await.unwrap());
    }
    assert_eq!(gate.now(), super::GateNow { limit: before, in_flight: 0, waiting: 0, overloaded: false });
}

#[tokio::test(start_paused = true)]
async fn a_burst_at_the_start_is_queued_and_not_shed() {
    let gate = gate(2, 256);
    let mut burst = Vec::new();
    for _ in 0..100 {
        burst.push(critical(&gate).await);
    }
    assert_eq!(gate.now().waiting, 98);
}
