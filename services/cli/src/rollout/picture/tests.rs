use std::time::Duration;

use nanogrid_proto::v1::RolloutStep;

use super::*;
use crate::rollout::status::to_json;

fn step(weight: u32) -> RolloutStep {
    RolloutStep {
        weight,
        least_time: Some(prost_types::Duration { seconds: 300, nanos: 0 }),
        least_requests: 500,
    }
}

fn rollout() -> Rollout {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    Rollout {
        id: "intent-2-1000000".to_owned(),
        expert: "intent".to_owned(),
        stable: "1".to_owned(),
        canary: "2".to_owned(),
        phase: RolloutPhase::Running.into(),
        steps: [0, 500, 2_500, 10_000].map(step).to_vec(),
        step: 2,
        weight: 2_500,
        started: at(1_000),
        step_began: at(1_600),
        why: "the canary has had 212 of the 500 requests that this step needs".to_owned(),
        metrics: vec![
            RolloutMetric {
                name: "errors".to_owned(),
                stable_requests: 1_200,
                stable_bad: 3,
                canary_requests: 212,
                canary_bad: 4,
                log10_evidence: 1.24,
                log10_needed: 2.48,
            },
            RolloutMetric {
                name: "other answers".to_owned(),
                log10_evidence: -0.3,
                log10_needed: 2.48,
                ..RolloutMetric::default()
            },
        ],
    }
}

fn plain(rollouts: &[Rollout]) -> String {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750);
    anstream::adapter::strip_str(&render(rollouts, now)).to_string()
}

#[test]
fn a_picture_shows_the_step_the_shares_and_how_near_the_line_the_evidence_is() {
    let text = plain(&[rollout()]);
    for words in [
        "intent: version 2 is tried against version 1 intent-2-1000000",
        "running, began 12m 30s ago, this step 2m 30s ago",
        "copies only > 5 % > [25 %] > 100 %",
        "version 1       75 %  ##############################----------",
        "version 2       25 %  ##########------------------------------",
        "3 of 1200 (0.25 %)",
        "4 of 212 (1.89 %)",
        "|########--------| 17 to 1, taken back at 302 to 1",
        "none seen",
        "|----------------| nothing, taken back at 302 to 1",
        "the canary has had 212 of the 500 requests that this step needs",
    ] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
}

#[test]
fn a_rollout_that_is_over_says_how_it_ended() {
    let ended = |phase: RolloutPhase| plain(&[Rollout { phase: phase.into(), ..rollout() }]);
    let back = ended(RolloutPhase::RolledBack);
    assert!(back.contains("\nrolled back\n") && back.contains("5 % > 25 % > 100 %"), "{back}");
    assert!(ended(RolloutPhase::Promoted).contains("25 % > [100 %]"));
    assert!(ended(RolloutPhase::Paused).contains("\npaused, began"));
}

#[test]
fn without_a_rollout_the_way_to_begin_one_is_named() {
    assert!(plain(&[]).contains("nanogrid rollout start EXPERT VERSION"));
}

#[test]
fn odds_are_as_exact_as_anybody_reads_them() {
    assert_eq!([-1.0, 0.2, 2.0, 5.0].map(odds), ["nothing", "1.6 to 1", "100 to 1", "10^5 to 1"]);
}

#[test]
fn scripts_get_numbers() {
    let json = &to_json(&[rollout()])["rollouts"][0];
    assert_eq!(
        (&json["phase"], &json["weight"], &json["step"]),
        (&"running".into(), &2_500.into(), &2.into())
    );
    assert_eq!(json["steps"][1]["least_time_ms"], 300_000);
    assert_eq!(json["started"], "1970-01-01T00:16:40Z");
    assert_eq!(json["metrics"][0]["canary_bad"], 4);
    assert_eq!(json["metrics"][0]["log10_evidence"], 1.24);
}
