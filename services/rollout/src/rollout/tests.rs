use super::*;
use crate::{Decision, Margins};

const MINUTE: u64 = 60_000;

fn plan() -> Plan {
    Plan::usual("rollout-1".to_owned(), "intent".to_owned(), 1, 2)
}

fn running() -> Rollout {
    Rollout::start(plan(), 0).expect("a good plan")
}

fn arms(stable: (u64, u64), canary: (u64, u64)) -> Arms {
    let tally = |(n, bad)| Tally { n, bad };
    Arms { stable: tally(stable), canary: tally(canary) }
}

/// Both versions do as well, and agree.
fn good(n: u64) -> Seen {
    let same = arms((n, 0), (n, 0));
    Seen { errors: same, slow: same, compared: Tally { n, bad: 0 }, floor: Tally::default() }
}

fn observe(rollout: &mut Rollout, window: &Seen) {
    rollout.evidence.observe(window, rollout.plan.margins.disagreement);
}

#[track_caller]
fn why(verdict: Verdict) -> String {
    match verdict {
        Verdict::Hold { why } => why,
        Verdict::Advance { .. } | Verdict::RollBack { .. } => panic!("{verdict:?}"),
    }
}

#[test]
fn a_canary_without_traffic_holds_and_says_why() {
    let rollout = running();
    assert_eq!(
        why(rollout.verdict([], &[], 600 * MINUTE)),
        "the canary has had 0 of the 500 requests that this step needs"
    );
}

#[test]
fn a_good_canary_goes_all_the_way_and_no_step_is_shorter_than_it_must_be() {
    let mut rollout = running();
    let mut weights = vec![rollout.weight()];
    for minute in 1..=25 {
        observe(&mut rollout, &good(2_000));
        let verdict = rollout.verdict([], &[], minute * MINUTE);
        if minute % 5 != 0 {
            assert!(why(verdict.clone()).starts_with("this step takes at least 300s"), "{verdict:?}");
        }
        rollout.apply(&verdict, minute * MINUTE);
        if rollout.weight() != *weights.last().expect("one") {
            weights.push(rollout.weight());
        }
    }
    assert_eq!(weights, [0, 100, 500, 2_500, 5_000, 10_000]);
    assert_eq!(rollout.phase, Phase::Promoted);
    assert_eq!(why(rollout.verdict([], &[], 30 * MINUTE)), "it is over");
}

#[test]
fn too_few_requests_to_be_sure_hold_with_the_harm_that_is_still_possible() {
    let mut rollout = running();
    rollout.phase = Phase::Running { step: 4 };
    observe(&mut rollout, &good(500));
    assert_eq!(
        why(rollout.verdict([], &[], 5 * MINUTE)),
        "up to 1.46 % more errors among all requests cannot be ruled out yet, 0.50 % are tolerated"
    );
}

#[test]
fn errors_slow_answers_and_other_answers_each_roll_back() {
    let bad = arms((950, 10), (50, 20));
    for (window, name) in [
        (Seen { errors: bad, ..Seen::default() }, "errors"),
        (Seen { slow: bad, ..Seen::default() }, "slow answers"),
        (Seen { compared: Tally { n: 40, bad: 30 }, ..Seen::default() }, "other answers"),
    ] {
        let mut rollout = running();
        observe(&mut rollout, &window);
        let verdict = rollout.verdict([], &[], 1_000);
        let Verdict::RollBack { why } = &verdict else { panic!("{name}: {verdict:?}") };
        assert!(why.starts_with(name), "{why}");
        rollout.apply(&verdict, 1_000);
        assert_eq!((rollout.phase, rollout.weight()), (Phase::RolledBack, 0));
    }
}

#[test]
fn answers_that_stable_endpoints_do_not_agree_on_either_are_not_held_against_the_canary() {
    let mut rollout = running();
    observe(&mut rollout, &Seen { floor: Tally { n: 1_000, bad: 600 }, ..Seen::default() });
    observe(&mut rollout, &Seen { compared: Tally { n: 1_000, bad: 600 }, ..Seen::default() });
    assert!(rollout.evidence.disagreement.ln_e() < 0.0);
}

#[test]
fn a_broken_gate_rolls_back_without_any_statistics_even_while_paused() {
    let mut rollout = running();
    rollout.phase = Phase::Paused { step: 2 };
    let gate = Gate::BreakerOpen("10.0.3.7:7000".to_owned());
    let Verdict::RollBack { why } = rollout.verdict([], &[gate], 0) else { panic!("rolled back") };
    assert_eq!(why, "every endpoint of the canary is ejected: 10.0.3.7:7000");
}

#[test]
fn a_paused_rollout_keeps_its_weight() {
    let mut rollout = running();
    rollout.phase = Phase::Paused { step: 3 };
    observe(&mut rollout, &good(100_000));
    let verdict = rollout.verdict([], &[], 600 * MINUTE);
    rollout.apply(&verdict, 600 * MINUTE);
    assert_eq!(rollout.weight(), 2_500);
}

#[test]
fn evidence_that_no_router_has_alone_convicts_when_it_is_put_together() {
    let part = Seen { errors: arms((2_000, 10), (100, 4)), ..Seen::default() };
    let mut rollout = running();
    observe(&mut rollout, &part);
    assert!(matches!(rollout.verdict([], &[], 1_000), Verdict::Hold { .. }));
    let other = rollout.evidence.clone();
    assert!(matches!(rollout.verdict([&other, &other], &[], 1_000), Verdict::RollBack { .. }));
}

#[test]
fn a_decision_is_taken_again_from_its_record() {
    let mut rollout = running();
    observe(&mut rollout, &Seen { errors: arms((950, 10), (50, 20)), ..Seen::default() });
    let decision = Decision::take(&rollout, vec![rollout.evidence.clone()], Vec::new(), 1_000);
    let record = serde_json::to_string(&decision).expect("JSON");
    let read: Decision = serde_json::from_str(&record).expect("what was written");
    assert_eq!(read, decision);
    assert_eq!(read.replay(), decision.verdict);
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_with_the_reason() {
    let refused = |change: fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        Rollout::start(plan, 0).expect_err("refused")
    };
    assert_eq!(refused(|plan| plan.canary = 1), "canary: must be another version than the stable one: 1");
    assert_eq!(
        refused(|plan| plan.steps.swap(1, 2)),
        "steps: the weights must rise and end with 10000 basis points: [0, 500, 100, 2500, 5000, 10000]"
    );
    assert_eq!(refused(|plan| plan.alpha = 1.0), "alpha: must be between 0 and 1: 1");
    assert_eq!(refused(|plan| plan.slow_from = 0.9), "slow-from: must be at least 1: 0.9");
    assert_eq!(refused(|plan| plan.slow_from = f64::NAN), "slow-from: must be at least 1: NaN");
    assert_eq!(
        refused(|plan| plan.margins = Margins { errors: 0.0, ..Margins::default() }),
        "margins: errors: must be above 0 and at most 1: 0"
    );
}

#[test]
fn people_can_pause_resume_hurry_promote_and_take_back() {
    let mut rollout = running();
    let mut change = |change, expected: Result<&str, &str>| {
        let changed = rollout.change(change, 1_000).map(|()| rollout.phase.as_str());
        assert_eq!(changed, expected.map_err(str::to_owned), "{change:?}");
    };
    change(Change::Resume, Err("cannot resume a rollout that is running"));
    change(Change::Pause, Ok("paused"));
    change(Change::Advance, Err("cannot advance a rollout that is paused"));
    change(Change::Resume, Ok("running"));
    change(Change::Advance, Ok("running"));
    change(Change::Promote, Ok("promoted"));
    change(Change::Pause, Err("cannot pause a rollout that is promoted"));
    change(Change::Abort, Ok("aborted"));
    change(Change::Promote, Err("cannot promote a rollout that is aborted"));
    assert_eq!(rollout.weight(), 0);
}
