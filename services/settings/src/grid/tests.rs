use proptest::{prelude::*, sample::Index};

use super::*;

const GOOD: &str = r#"
[[expert]]
name = "intent"
task = "text-classification"
title = "what a user asks for"
timeout = "500ms"

[[expert.version]]
version = 1
weight = 97.5
label = "stable"
model-sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
endpoints = ["static://127.0.0.1:7001", "static://[::1]:7001"]

[[expert.version]]
version = 2
weight = 2.5
label = "canary"
endpoints = ["static://intent-2.default.svc:8001"]

[[expert]]
name = "language"
task = "text-classification"
[[expert.version]]
version = 1
endpoints = ["static://127.0.0.1:7002"]
"#;

/// Every problem that `text` has, one a line.
#[track_caller]
fn check(text: &str, expected: &str) {
    let problems = Grid::parse(text, "grid.toml").expect_err("wrong").to_string();
    assert_eq!(problems, expected, "\n{problems}");
}

/// One expert with one version, `line` replaced or added in the version (line 6) or the expert (line 4).
fn with(expert: &str, version: &str) -> String {
    format!(
        "[[expert]]\nname = \"intent\"\ntask = \"text-classification\"\n{expert}\n[[expert.version]]\n{version}\n"
    )
}

#[test]
fn a_grid_is_read_and_written() {
    let grid = Grid::parse(GOOD, "grid.toml").expect("good");
    let intent = &grid.experts[0];
    assert_eq!(intent.name, "intent");
    assert_eq!(intent.timeout, Some(Duration::from_millis(500)));
    assert_eq!(intent.versions[0].weight, BasisPoints(9750));
    assert_eq!(intent.versions[1].label, Some(VersionLabel::Canary));
    assert_eq!(grid.experts[1].versions[0].weight, BasisPoints::ALL);

    let again = Grid::parse(&grid.to_toml(), "grid.toml").expect("what is written is right");
    assert_eq!(again.experts, grid.experts);
}

#[test]
fn the_digest_tells_texts_apart() {
    let one = Grid::parse(GOOD, "grid.toml").expect("good");
    let other = Grid::parse(&format!("{GOOD}\n"), "grid.toml").expect("good");
    assert_eq!(one.experts, other.experts);
    assert_ne!(one.sha256, other.sha256);
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    check(
        r#"
[[expert]]
name = "Intent"
task = "poetry"
[[expert.version]]
version = 0
weight = 250
endpoints = ["127.0.0.1:7001"]
colour = "red"
[[expert]]
name = "language"
task = "text-classification"
"#,
        "grid.toml:3: expert `Intent`: name: must be lower-case words joined by hyphens, e.g. `translate-en-de`: `Intent`\n\
         grid.toml:4: expert `Intent`: task: must be one of `text-classification`, `token-classification`, `text-to-text`, \
         `embedding`, `image-classification`, `speech-to-text`, `text-to-speech`, `series`, `tensor`: `poetry`\n\
         grid.toml:6: expert `Intent`: version 0: version: must be a positive integer: 0\n\
         grid.toml:7: expert `Intent`: version 0: weight: must be a percentage from 0 to 100 with at most two decimals: 250\n\
         grid.toml:8: expert `Intent`: version 0: endpoints: must be like `static://127.0.0.1:7001`: `127.0.0.1:7001`\n\
         grid.toml:9: expert `Intent`: version 0: colour: unknown key, expected one of `version`, `weight`, `label`, \
         `model-sha256`, `endpoints`\n\
         grid.toml:10: expert `language`: version: missing: add [[expert.version]] with `version` and `endpoints`",
    );
}

#[test]
fn a_grid_without_experts_is_refused() {
    check(
        "",
        "grid.toml:1: there is no expert in it: add an [[expert]] with `name`, `task` and [[expert.version]]",
    );
    check("[expert]\n", "grid.toml:1: expert: must be a list: a table");
}

#[test]
fn broken_syntax_names_the_line() {
    check("[[expert]]\nname = \"intent\ntask = 3\n", "grid.toml:2: invalid basic string, expected `\"`");
}

#[test]
fn names_versions_and_labels_are_unique() {
    let twice = format!("{GOOD}\n{}", with("", "version = 1\nendpoints = [\"static://a:1\"]"));
    check(&twice, "grid.toml:29: expert `intent`: name: is used twice, first in line 2: `intent`");
    check(
        &GOOD.replace("version = 2", "version = 1").replace("canary", "stable"),
        "grid.toml:16: expert `intent`: version 1: version: is used twice, first in line 8: 1\n\
         grid.toml:18: expert `intent`: version 1: label: is used twice, first in line 8: `stable`",
    );
}

#[test]
fn weights_are_percentages_that_sum_to_a_hundred() {
    check(
        &GOOD.replace("97.5", "95"),
        "grid.toml:8: expert `intent`: version: the weights must sum to 100: 97.5",
    );
    check(&GOOD.replace("weight = 97.5\n", ""), "grid.toml:8: expert `intent`: version 1: weight: missing");
    check(
        &GOOD.replace("97.5", "97.505"),
        "grid.toml:10: expert `intent`: version 1: weight: must be a percentage from 0 to 100 with at most two decimals: 97.505",
    );
    check(
        &GOOD.replace("97.5", "nan"),
        "grid.toml:10: expert `intent`: version 1: weight: must be a finite number: nan",
    );
    check(
        &GOOD.replace("97.5", "\"a lot\""),
        "grid.toml:10: expert `intent`: version 1: weight: must be a number: `a lot`",
    );
    Grid::parse(&GOOD.replace("97.5", "99.71").replace("2.5", "0.29"), "grid.toml")
        .expect("0.29 is two decimals");
    Grid::parse(&GOOD.replace("97.5", "100").replace("2.5", "0"), "grid.toml").expect("0 is a weight");
}

#[test]
fn endpoints_are_host_and_port() {
    for endpoint in [
        "static://a",
        "static://a:0",
        "static://a:65536",
        "static://:1",
        "static://[::1:7001",
        "http://a:1",
        "static://a b:1",
        "static://a:+1",
        "",
    ] {
        check(
            &with("", &format!("version = 1\nendpoints = [\"{endpoint}\"]")),
            &format!(
                "grid.toml:7: expert `intent`: version 1: endpoints: must be like `static://127.0.0.1:7001`: `{endpoint}`"
            ),
        );
    }
    for scheme in ["dns", "k8s"] {
        check(
            &with("", &format!("version = 1\nendpoints = [\"{scheme}://intent:8001\"]")),
            &format!(
                "grid.toml:7: expert `intent`: version 1: endpoints: `{scheme}://` is not served by this version: \
                      list the addresses as `static://HOST:PORT`: `{scheme}://intent:8001`"
            ),
        );
    }
    check(
        &with("", "version = 1\nendpoints = []"),
        "grid.toml:7: expert `intent`: version 1: endpoints: must not be empty, e.g. endpoints = [\"static://127.0.0.1:7001\"]",
    );
    check(
        &with("", "version = 1"),
        "grid.toml:5: expert `intent`: version 1: endpoints: missing: say where it answers, e.g. endpoints = [\"static://127.0.0.1:7001\"]",
    );
    check(
        &with("", "version = 1\nendpoints = [\"static://a:1\", \"static://a:1\"]"),
        "grid.toml:7: expert `intent`: version 1: endpoints: is listed twice: `static://a:1`",
    );
}

#[test]
fn other_values_are_checked_too() {
    let version = "version = 1\nendpoints = [\"static://a:1\"]";
    let time = "must be a time above 0 such as \"250ms\" or \"2s\"";
    check(
        &with("timeout = \"5 parsecs\"", version),
        &format!("grid.toml:4: expert `intent`: timeout: {time}: `5 parsecs`"),
    );
    check(&with("timeout = 500", version), &format!("grid.toml:4: expert `intent`: timeout: {time}: 500"));
    check(
        &with("timeout = \"0s\"", version),
        &format!("grid.toml:4: expert `intent`: timeout: {time}: `0s`"),
    );
    check(
        &with("", &format!("{version}\nmodel-sha256 = \"ABC\"")),
        "grid.toml:8: expert `intent`: version 1: model-sha256: must be a sha256, 64 lower-case hexadecimal digits: `ABC`",
    );
    check(
        &with("", &format!("{version}\nlabel = \"beta\"")),
        "grid.toml:8: expert `intent`: version 1: label: must be `stable` or `canary`: `beta`",
    );
    check(
        &with("", version).replace("\"intent\"", "\"auto\""),
        "grid.toml:2: expert `auto`: name: is reserved (as a model name, `auto` asks the classifier): choose another: `auto`",
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = Grid::read(Path::new("/nowhere/grid.toml")).expect_err("missing").to_string();
    assert!(error.starts_with("/nowhere/grid.toml: cannot be read: "), "{error}");
}

proptest! {
    #[test]
    fn a_damaged_file_is_read_or_refused_but_never_panics(from: Index, to: Index, put in ".{0,4}|[\\[\\]\"=.\\-0-9a-z]{0,4}") {
        let boundary = |index: &Index| GOOD.floor_char_boundary(index.index(GOOD.len() + 1));
        let (from, to) = (boundary(&from), boundary(&to));
        let damaged = format!("{}{put}{}", &GOOD[..from.min(to)], &GOOD[from.max(to)..]);
        match Grid::parse(&damaged, "grid.toml") {
            Ok(grid) => {
                let sums = |expert: &Expert| expert.versions.iter().map(|version| version.weight.0).sum::<u32>();
                prop_assert!(grid.experts.iter().all(|expert| sums(expert) == BasisPoints::ALL.0));
                let again = Grid::parse(&grid.to_toml(), "grid.toml").expect("what is written is right");
                prop_assert_eq!(again.experts, grid.experts);
            }
            Err(Problems(problems)) => prop_assert!(!problems.is_empty()),
        }
    }
}
