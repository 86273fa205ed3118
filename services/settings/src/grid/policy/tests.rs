use super::*;
use crate::grid::Grid;

const GOOD: &str = r#"
[[expert]]
name = "intent"
task = "text-classification"
[expert.retry]
attempts = 3
budget = 12.5
also-on = ["internal", "data-loss"]
[expert.hedge]
after-percentile = 99.5
[expert.breaker]
consecutive-failures = 3
success-rate = 75
rest = "500ms"
[expert.cache]
ttl = "1m"
[[expert.fallback]]
version = 1
[[expert.fallback]]
expert = "intent-small"
[[expert.fallback]]
label = "unknown"
[[expert.version]]
version = 1
weight = 0
endpoints = ["static://a:1"]
[[expert.version]]
version = 2
weight = 100
endpoints = ["static://a:2"]

[[expert]]
name = "intent-small"
task = "text-classification"
[[expert.version]]
version = 1
endpoints = ["static://a:3"]
"#;

/// Every problem of an expert with `policy`, one a line.
#[track_caller]
fn check(policy: &str, expected: &str) {
    let text = format!(
        "[[expert]]\nname = \"intent\"\ntask = \"text-classification\"\n{policy}\n\
         [[expert.version]]\nversion = 1\nendpoints = [\"static://a:1\"]\n\
         [[expert]]\nname = \"vectors\"\ntask = \"embedding\"\n\
         [[expert.version]]\nversion = 1\nendpoints = [\"static://a:2\"]\n"
    );
    let problems = Grid::parse(&text, "grid.toml").expect_err("wrong").to_string();
    assert_eq!(problems, expected, "\n{problems}");
}

#[test]
fn a_policy_is_read_and_written() {
    let grid = Grid::parse(GOOD, "grid.toml").expect("good");
    let small = "intent-small".parse().expect("a name");
    let expected = Policy {
        retry: Retry { attempts: 3, also_on: vec![RetryOn::Internal, RetryOn::DataLoss], budget: 0.125 },
        hedge: Some(Hedge { after: 0.995, budget: 0.05 }),
        breaker: Breaker {
            consecutive_failures: 3,
            success_rate: 0.75,
            rest: Duration::from_millis(500),
            ..Breaker::default()
        },
        cache: Some(Cache { max_bytes: 16 << 20, ttl: Duration::from_secs(60) }),
        fallback: vec![Fallback::Version(1), Fallback::Expert(small), Fallback::Label("unknown".to_owned())],
    };
    assert_eq!(grid.experts[0].policy, expected);
    assert_eq!(grid.experts[1].policy, Policy::default());
    let again = Grid::parse(&grid.to_toml(), "grid.toml").expect("what is written is right");
    assert_eq!(again.experts, grid.experts);
}

#[test]
fn numbers_out_of_range_are_named() {
    check(
        "[expert.retry]\nattempts = 6",
        "grid.toml:5: expert `intent`: retry: attempts: must be from 1 to 5: 6",
    );
    check(
        "[expert.retry]\nalso-on = [\"invalid-argument\"]",
        "grid.toml:5: expert `intent`: retry: also-on: must be one of `internal`, `unknown`, `aborted`, `data-loss`: `invalid-argument`",
    );
    check(
        "[expert.hedge]\nafter-percentile = 100",
        "grid.toml:5: expert `intent`: hedge: after-percentile: must be a percentile from 50 to 99.9: 100",
    );
    check(
        "[expert.breaker]\nsuccess-rate = 101\nleast-calls = 0",
        "grid.toml:5: expert `intent`: breaker: success-rate: must be a percentage from 0 to 100: 101\n\
         grid.toml:6: expert `intent`: breaker: least-calls: must be at least 1: 0",
    );
    check(
        "[expert.breaker]\nrest = \"20s\"\nlongest-rest = \"5s\"",
        "grid.toml:6: expert `intent`: breaker: longest-rest: must not be below `rest`, 20s: 5s",
    );
    check(
        "[expert.cache]\nmax-bytes = 0",
        "grid.toml:5: expert `intent`: cache: max-bytes: must be at least 1: 0",
    );
    check("retry = 3", "grid.toml:4: expert `intent`: retry: must be a table: 3");
    check(
        "[expert.retry]\ntries = 3",
        "grid.toml:5: expert `intent`: retry: tries: unknown key, expected one of `attempts`, `also-on`, `budget`",
    );
}

#[test]
fn a_fallback_leads_somewhere() {
    let place = "grid.toml:5: expert `intent`: fallback #1";
    check(
        "[[expert.fallback]]\nversion = 7",
        &format!("{place}: version: the expert has no such version: 7"),
    );
    check(
        "[[expert.fallback]]\nexpert = \"intent\"",
        &format!("{place}: expert: an expert cannot stand in for itself: `intent`"),
    );
    check(
        "[[expert.fallback]]\nexpert = \"nobody\"",
        &format!("{place}: expert: there is no such expert in this file: `nobody`"),
    );
    check(
        "[[expert.fallback]]\nexpert = \"vectors\"",
        &format!("{place}: expert: must have the task `text-classification`, `vectors` has: `embedding`"),
    );
    check(
        "[[expert.fallback]]",
        "grid.toml:4: expert `intent`: fallback #1: must have one of `version`, `expert` and `label`: 0 are there",
    );
}
