//! Whoever decides may go, and another one goes on.

use nanogrid_proto::v1::{Rollout, RolloutPhase};
use nanogrid_testkit::expert::Behaviour;
use tokio::time::Instant;
use tonic::Status;

use crate::routers::*;

#[tokio::test(flavor = "multi_thread")]
async fn when_the_one_that_decides_is_killed_another_goes_on_with_the_same_weights_and_evidence() {
    let cluster = Cluster::start(transfer()).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    leader.operator.start(plan(&[3_000, 10_000], 1_000_000)).await.unwrap();
    follower.operator.until(|now| now.weight == 3_000).await;
    let had_it = leader.who_has_it(0..100).await;
    let without: Vec<u32> = (0..100).filter(|key| !had_it.contains(key)).collect();
    let mut n_failed = 0;
    for key in had_it.iter().cycle() {
        // Among others' good answers, and never twice in a row, which would open a breaker.
        cluster.canary.behave(Behaviour::fails(Status::internal("a bug")));
        futures::join!(leader.who_has_it([*key]), leader.who_has_it(without.iter().copied()));
        cluster.canary.behave(transfer());
        leader.who_has_it([*key]).await;
        n_failed += 1;
        let seen = leader.operator.until(|now| now.metrics[0].canary_bad == n_failed).await;
        if evidence(&seen) > 0.3 {
            break;
        }
    }
    leader.ask(200).await;
    follower.ask(200).await;
    // Whatever was seen has been said.
    let has_all = |now: &Rollout| n_seen(now) >= 500 && now.metrics[0].canary_bad == n_failed;
    let (seen, _) = both(&leader, &follower, has_all).await;

    let killed = Instant::now();
    leader.grid.crash();
    follower.until_it_decides().await;
    println!("another one decides after {:?}", killed.elapsed());
    let next = follower.operator.rollout().await.unwrap();
    assert_eq!((&next.id, next.weight, next.phase()), (&seen.id, 3_000, RolloutPhase::Running));
    assert_eq!(next.step_began, seen.step_began);
    assert!(n_seen(&next) >= n_seen(&seen), "{next:#?}");
    assert!((evidence(&next) - evidence(&seen)).abs() < 1e-9, "{next:#?} {seen:#?}");
    assert_eq!(follower.who_has_it(0..100).await, had_it);

    // One that starts now, after what the dead one had seen went into the record.
    let mut third = cluster.router().await;
    let resumed = third.operator.rollout().await.expect("in force when it starts");
    assert_eq!((&resumed.id, resumed.weight), (&seen.id, 3_000));
    assert!(n_seen(&resumed) >= n_seen(&seen), "{resumed:#?}");
    assert!((evidence(&resumed) - evidence(&seen)).abs() < 1e-9, "{resumed:#?}");
    assert_eq!(third.who_has_it(0..100).await, had_it);
    // It still gets to its end.
    let advanced = third.operator.change(nanogrid_proto::v1::RolloutChange::Promote).await.unwrap();
    assert_eq!(advanced.phase(), RolloutPhase::Promoted);
    follower.operator.until(|now| now.weight == 10_000).await;
}

/// What failures say against the canary: it changes with failures alone.
fn evidence(rollout: &Rollout) -> f64 {
    rollout.metrics[0].log10_evidence
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_hands_over_when_it_ends() {
    let cluster = Cluster { lease: 10 * PATIENCE, ..Cluster::start(transfer()).await };
    let (leader, follower) = cluster.leader_and_follower().await;
    let Router { grid, link: _reaches_the_api, .. } = leader;
    let stopped = Instant::now();
    drop(grid);
    follower.until_it_decides().await;
    println!("handed over after {:?}", stopped.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cut_off_decides_no_more_before_another_does() {
    let cluster = Cluster::start(transfer()).await;
    let (mut leader, mut follower) = cluster.leader_and_follower().await;
    leader.operator.start(plan(&[3_000, 10_000], 1_000_000)).await.unwrap();
    follower.operator.until(|now| now.weight == 3_000).await;
    leader.link.cut();
    leader.until_metric("nanogrid_rollout_leader 0").await;
    follower.until_it_decides().await;
    // What the new one does reaches the old one as soon as it can be reached, and it accepts it.
    follower.operator.change(nanogrid_proto::v1::RolloutChange::Abort).await.unwrap();
    assert_eq!(leader.operator.rollout().await.unwrap().weight, 3_000, "weights stay");
    leader.link.mend();
    leader.operator.until(|now| now.phase() == RolloutPhase::Aborted).await;
}
