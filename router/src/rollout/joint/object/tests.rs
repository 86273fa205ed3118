use nanogrid_rollout::Change;

use super::*;
use crate::rollout::state::{Event, State};

fn record() -> Record {
    let kept = State::sample().rollouts.into_values().next().expect("one");
    Record { leader: "a".to_owned(), kept }
}

fn config_map(contents: &[(&str, &str)]) -> ConfigMap {
    let contents = contents.iter().map(|&(key, text)| (key.to_owned(), text.to_owned()));
    let mut object = ConfigMap { data: Some(contents.collect()), ..ConfigMap::default() };
    object.metadata.name = Some("rollouts-intent".to_owned());
    object.metadata.resource_version = Some("7".to_owned());
    object
}

fn contribution(rollout: &Rollout) -> Contribution {
    Contribution {
        rollout_id: rollout.plan.id.clone(),
        step_began_ms: rollout.step_began_ms,
        evidence: Evidence::default(),
        gates: Vec::new(),
        slow_above_us: Some(1_100),
        beat: 1,
    }
}

#[test]
fn what_was_written_is_read_and_what_another_version_wrote_is_only_listed() {
    let mut record = record();
    let written = record.write().expect("written");
    let mine = contribution(&record.kept.rollout);
    let text = serde_json::to_string(&mine).expect("written");
    let object = config_map(&[
        ("rollout", &written),
        ("evidence.a", &text),
        ("evidence.b", "{\"from\": \"the future\"}"),
        ("note", "of an operator"),
    ]);
    let object = Object::read(object).expect("read");
    assert_eq!(object.record, record);
    assert_eq!(object.contributions, BTreeMap::from([("a".to_owned(), mine)]));
    assert_eq!(object.routers().map(|(router, _)| router).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(object.written_by("a"), Some(&*text));
}

#[test]
fn an_object_that_somebody_broke_is_named_with_the_way_out() {
    let error = Object::read(config_map(&[("rollout", "{")])).expect_err("broken").to_string();
    assert!(error.starts_with("ConfigMap `rollouts-intent` is no rollout: rollout: "), "{error}");
    assert!(error.ends_with("; delete it to begin without one"), "{error}");
    let error = Object::read(config_map(&[])).expect_err("empty").to_string();
    assert!(error.contains("it has no `rollout`"), "{error}");
}

#[test]
fn of_a_long_history_the_end_is_written() {
    let mut record = record();
    for i in 0..200 {
        let why = "w".repeat(1_000);
        record.kept.remember(Event::Asked(Change::Pause), why, 0, i);
    }
    let written = record.write().expect("written");
    assert!(written.len() <= LARGEST_RECORD && written.len() > LARGEST_RECORD / 2, "{}", written.len());
    assert_eq!(record.kept.history.back().map(|entry| entry.at_ms), Some(199));
    assert_eq!(serde_json::from_str::<Record>(&written).expect("whole"), record);
}

#[test]
fn evidence_of_another_rollout_is_none_and_of_another_step_it_says_nothing_of_this_one() {
    let rollout = record().kept.rollout;
    let mut evidence = contribution(&rollout);
    evidence.evidence.step.errors.canary.n = 10;
    evidence.evidence.step.floor.n = 5;
    assert_eq!(evidence.evidence_for(&rollout).map(|evidence| evidence.step.errors.canary.n), Some(10));
    evidence.step_began_ms += 1;
    let step = evidence.evidence_for(&rollout).map(|evidence| evidence.step);
    assert_eq!(step.map(|step| (step.errors.canary.n, step.floor.n)), Some((0, 5)));
    evidence.rollout_id = "another".to_owned();
    assert_eq!(evidence.evidence_for(&rollout), None);
}

#[test]
fn a_router_has_a_name_that_fits_into_a_key_and_is_its_own() {
    assert_eq!(router_name("router-6c9f_x/7", 0xab), "router-6c9fx7-000000ab");
    assert_eq!(router_name("", 1), "router-00000001");
}
