//! Several routers write at the same time, and nothing is lost.

use nanogrid_proto::v1::RolloutChange;
use tonic::Code;

use crate::{routers::*, support::assert_status};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rollouts_that_are_started_at_the_same_time_one_begins() {
    let cluster = Cluster::start(transfer()).await;
    let (mut a, mut b) = (cluster.router().await, cluster.router().await);
    let (at_a, at_b) = futures::join!(
        a.operator.start(plan(&[100, 10_000], 1_000)),
        b.operator.start(plan(&[200, 10_000], 1_000))
    );
    let (begun, refused) = if at_a.is_ok() { (at_a, at_b) } else { (at_b, at_a) };
    let begun = begun.expect("one of them");
    assert_status(refused, Code::FailedPrecondition, "has a rollout already");
    both(&a, &b, |now| now.id == begun.id && now.weight == begun.weight).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_that_was_accepted_is_remembered_whoever_was_asked() {
    let cluster = Cluster::start(transfer()).await;
    let (mut a, mut b) = (cluster.router().await, cluster.router().await);
    a.operator.start(plan(&[1_000, 10_000], 1_000_000)).await.unwrap();
    b.operator.until(|now| now.weight == 1_000).await;
    async fn toggle(router: &mut Router) -> usize {
        let mut n_accepted = 0;
        for _ in 0..5 {
            for change in [RolloutChange::Pause, RolloutChange::Resume] {
                match router.operator.change(change).await {
                    Ok(_) => n_accepted += 1,
                    // The other one was faster.
                    Err(status) => assert!(
                        matches!(status.code(), Code::FailedPrecondition | Code::Unavailable),
                        "{status:?}"
                    ),
                }
            }
        }
        n_accepted
    }
    let (by_a, by_b) = futures::join!(toggle(&mut a), toggle(&mut b));
    assert!(by_a + by_b >= 10, "{by_a} and {by_b}");
    let n_asked = |history: Vec<nanogrid_proto::v1::RolloutDecision>| {
        history.iter().filter(|decision| matches!(&*decision.verdict, "pause" | "resume")).count()
    };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for router in [&mut a, &mut b] {
        while n_asked(router.operator.history().await) != by_a + by_b {
            assert!(tokio::time::Instant::now() < deadline, "{by_a} and {by_b} were accepted");
            crate::support::tick().await;
        }
    }
}
