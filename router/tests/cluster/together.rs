//! All see, one decides, and what it decides holds for all.

use nanogrid_proto::v1::{RolloutChange, RolloutPhase};
use nanogrid_testkit::expert::Behaviour;
use tokio::time::Instant;
use tonic::Status;

use crate::routers::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_key_has_the_same_version_at_both_routers_from_the_first_step_to_the_last() {
    const N_KEYS: u32 = 300;
    let cluster = Cluster::start(transfer()).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    follower.operator.start(plan(&[500, 2_500, 5_000, 10_000], 1_000_000)).await.unwrap();
    let mut before = std::collections::BTreeSet::new();
    for weight in [500, 2_500, 5_000, 10_000] {
        both(&leader, &follower, |now| now.weight == weight).await;
        let (at_leader, at_follower) =
            futures::join!(leader.who_has_it(0..N_KEYS), follower.who_has_it(0..N_KEYS));
        assert_eq!(at_leader, at_follower, "at {weight}");
        assert!(at_leader.is_superset(&before), "somebody lost it at {weight}");
        before = at_leader;
        if weight < 10_000 {
            // Whoever is asked.
            let asked = if weight == 2_500 { &mut leader } else { &mut follower };
            asked.operator.change(RolloutChange::Advance).await.unwrap();
        }
    }
    assert_eq!(before.len(), N_KEYS as usize);
    both(&leader, &follower, |now| now.phase() == RolloutPhase::Promoted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_gets_everybody_on_what_both_have_seen() {
    let cluster = Cluster::start(transfer()).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    leader.operator.start(plan(&[5_000, 10_000], 500)).await.unwrap();
    follower.operator.until(|now| now.weight == 5_000).await;
    let (mut at_leader, mut at_follower) = (leader.operator.clone(), follower.operator.clone());
    let (at_leader, at_follower) = futures::join!(
        leader.ask_while(at_leader.until(is_over)),
        follower.ask_while(at_follower.until(is_over)),
    );
    for end in [&at_leader, &at_follower] {
        assert_eq!((end.phase(), end.weight), (RolloutPhase::Promoted, 10_000), "{end:#?}");
    }
    let history = follower.operator.history().await;
    let record: nanogrid_rollout::Decision = serde_json::from_str(&history[0].record).expect("a record");
    assert_eq!(record.replay(), record.verdict, "anybody can take it again");
    assert_eq!(record.others.len(), 2, "{record:#?}");
    assert!(record.others.iter().all(|seen| seen.step.errors.canary.n > 0), "{record:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_where_only_one_router_sees_it_is_taken_back_everywhere() {
    let cluster = Cluster::start(Behaviour::fails(Status::internal("a bug"))).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    leader.operator.start(plan(&[2_000, 10_000], 1_000_000)).await.unwrap();
    follower.operator.until(|now| now.weight == 2_000).await;
    let (mut at_leader, mut at_follower) = (leader.operator.clone(), follower.operator.clone());
    let ended = async |operator: &mut Operator| {
        operator.until(is_over).await;
        Instant::now()
    };
    let (at_leader, at_follower) =
        futures::join!(ended(&mut at_leader), follower.ask_while(ended(&mut at_follower)));
    let lag = at_follower.saturating_duration_since(at_leader);
    println!("from the leader to the follower: {lag:?}");
    let end = leader.operator.until(is_over).await;
    assert_eq!((end.phase(), end.weight), (RolloutPhase::RolledBack, 0), "{end:#?}");
    assert!(end.why.contains("the canary"), "{}", end.why);
    let before = cluster.canary.n_calls();
    leader.ask(20).await;
    follower.ask(20).await;
    assert_eq!(cluster.canary.n_calls(), before, "nobody gets it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_follower_is_asked_for_happens_everywhere() {
    let cluster = Cluster::start(transfer()).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    leader.operator.start(plan(&[3_000, 10_000], 1_000_000)).await.unwrap();
    follower.operator.until(|now| now.weight == 3_000).await;
    assert_eq!(follower.operator.change(RolloutChange::Pause).await.unwrap().phase(), RolloutPhase::Paused);
    leader.operator.until(|now| now.phase() == RolloutPhase::Paused).await;
    assert_eq!(follower.operator.change(RolloutChange::Abort).await.unwrap().weight, 0);
    leader.operator.until(|now| now.phase() == RolloutPhase::Aborted).await;
    assert!(leader.who_has_it(0..100).await.is_empty());
    let words = |history: Vec<nanogrid_proto::v1::RolloutDecision>| {
        history.into_iter().map(|decision| decision.verdict).collect::<Vec<_>>()
    };
    assert_eq!(words(leader.operator.history().await), ["abort", "pause", "start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_whose_object_is_deleted_leaves_the_traffic_to_the_grid_file() {
    use k8s_openapi::api::core::v1::ConfigMap;
    let cluster = Cluster::start(transfer()).await;
    let mut router = cluster.router().await;
    router.operator.start(plan(&[10_000], 1)).await.unwrap();
    assert_eq!(router.who_has_it(0..20).await.len(), 20);
    let client = crate::api_server::ApiServer::get().client(&cluster.namespace, None).await;
    let objects: kube::Api<ConfigMap> = kube::Api::namespaced(client, &cluster.namespace);
    objects.delete("rollouts-intent", &kube::api::DeleteParams::default()).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while router.operator.rollout().await.is_some() {
        assert!(Instant::now() < deadline, "it is still known");
        crate::support::tick().await;
    }
    assert!(router.who_has_it(0..20).await.is_empty());
}
