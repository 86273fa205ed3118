//! The API goes, and comes back.

use nanogrid_proto::v1::{RolloutChange, RolloutPhase};
use nanogrid_testkit::expert::Behaviour;
use tonic::Code;

use crate::{
    routers::*,
    support::{assert_status, metrics},
};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_weights_stay_nobody_decides_and_afterwards_it_goes_on() {
    let cluster = Cluster::start(transfer()).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    leader.operator.start(plan(&[5_000, 10_000], 200)).await.unwrap();
    follower.operator.until(|now| now.weight == 5_000).await;
    let had_it = leader.who_has_it(0..50).await;
    leader.link.cut();
    follower.link.cut();
    let says_why = |now: &nanogrid_proto::v1::Rollout| {
        now.why.starts_with("nobody decides: the Kubernetes API does not answer")
    };
    both(&leader, &follower, says_why).await;
    for router in [&mut leader, &mut follower] {
        // More than enough to go on, if anybody decided.
        router.ask(600).await;
        assert_eq!(router.who_has_it(0..50).await, had_it);
        let refused = router.operator.change(RolloutChange::Abort).await;
        assert_status(refused, Code::Unavailable, "rollout of `intent`: the Kubernetes API");
        let rollout = router.operator.rollout().await.unwrap();
        assert_eq!((rollout.phase(), rollout.weight), (RolloutPhase::Running, 5_000), "{rollout:#?}");
        let failures = metrics(&router.grid).await;
        let failures = failures.lines().find(|line| line.starts_with("nanogrid_rollout_save_failed_total "));
        assert!(failures.is_some_and(|line| !line.ends_with(" 0")), "{failures:?}");
    }
    leader.link.mend();
    follower.link.mend();
    both(&leader, &follower, |now| n_seen(now) >= 1_200).await;
    let (mut at_leader, mut at_follower) = (leader.operator.clone(), follower.operator.clone());
    let end = leader.ask_while(at_leader.until(is_over)).await;
    assert_eq!(end.phase(), RolloutPhase::Promoted, "{end:#?}");
    at_follower.until(is_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_a_router_sees_broken_is_shut_there_even_without_the_api_and_then_everywhere() {
    let cluster = Cluster::start(transfer()).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    leader.operator.start(plan(&[5_000, 10_000], 1_000_000)).await.unwrap();
    follower.operator.until(|now| now.weight == 5_000).await;
    follower.link.cut();
    cluster.canary.behave(Behaviour::labels(&[("transfer", f32::NAN)]));
    follower.ask_while(follower.until_metric("nanogrid_rollout_weight{expert=\"intent\"} 0.0")).await;
    assert!(follower.who_has_it(0..50).await.is_empty(), "it gets nothing here any more");
    assert_eq!(leader.operator.rollout().await.unwrap().weight, 5_000, "nobody else has heard of it");
    follower.link.mend();
    let end = leader.operator.until(is_over).await;
    assert_eq!(end.phase(), RolloutPhase::RolledBack);
    assert!(end.why.contains("the canary gave an answer that is none"), "{}", end.why);
    follower.operator.until(is_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_starts_without_the_api_serves_and_catches_up() {
    let cluster = Cluster::start(transfer()).await;
    let mut first = cluster.router().await;
    first.operator.start(plan(&[10_000], 1)).await.unwrap();
    let mut second = cluster.router_that_starts_alone().await;
    second.ask(5).await;
    assert!(second.operator.rollout().await.is_none());
    second.link.mend();
    second.operator.until(|now| now.weight == 10_000).await;
    assert_eq!(second.who_has_it(0..20).await.len(), 20);
}
