//! The alerts of `k8s/alerts` are about metrics that there are, with labels and values that there are: a rule about
//! anything else would be silent for ever.

use std::{fs, path::Path};

use nanogrid_telemetry::metrics::{Registry, RouterMetrics};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[allow(dead_code, reason = "must be there")]
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[allow(dead_code, reason = "may be there")]
    r#for: Option<String>,
    labels: Labels,
    annotations: Annotations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    severity: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    summary: String,
    description: String,
    runbook_url: String,
}

fn in_repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules() -> Vec<Rule> {
    let file: File =
        serde_saphyr::from_str(&in_repository("k8s/alerts/router.yaml")).expect("rules of Prometheus");
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// Each metric with what stands in its braces, or nothing.
fn selectors(expression: &str) -> Vec<(&str, &str)> {
    let starts = expression.match_indices("nanogrid_").map(|(start, _)| &expression[start..]);
    starts
        .map(|text| {
            let end =
                text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            let matchers = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            (name, matchers.map_or("", |(matchers, _)| matchers))
        })
        .collect()
}

/// What a selector looks for, as it stands in a line of the metrics: `verdict="unavailable"`.
fn wanted(matchers: &str) -> Vec<String> {
    let matchers = matchers.split(',').filter(|matcher| !matcher.is_empty());
    matchers
        .flat_map(|matcher| {
            let (label, values) = matcher.split_once(['=', '!']).expect("a label and its value");
            let values = values.trim_start_matches(['=', '~']).trim_matches('"');
            values.split('|').map(|value| format!("{label}=\"{value}\"")).collect::<Vec<_>>()
        })
        .collect()
}

fn check(expression: &str, metrics: &str) -> Result<(), String> {
    let found = selectors(expression);
    if found.is_empty() {
        return Err(format!("no metric of ours in `{expression}`"));
    }
    for (name, matchers) in found {
        let series = || metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        if series().next().is_none() {
            return Err(format!("there is no metric `{name}`"));
        }
        for label in wanted(matchers) {
            if !series().any(|line| line.contains(&label)) {
                return Err(format!("`{name}` has no `{label}`"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_alert_is_about_metrics_that_there_are() {
    let registry = Registry::new();
    let _router = RouterMetrics::new(&registry);
    let metrics = registry.encode();
    let rules = rules();
    assert!(!rules.is_empty());
    for Rule { alert, expr, labels, annotations, .. } in &rules {
        check(expr, &metrics).unwrap_or_else(|problem| panic!("{alert}: {problem}"));
        assert!(["critical", "warning"].contains(&labels.severity.as_str()), "{alert}: {}", labels.severity);
        assert!(!annotations.summary.is_empty() && !annotations.description.is_empty(), "{alert}");
        assert!(annotations.runbook_url.ends_with("k8s/README.md#alerts"), "{alert}");
    }
    // The check notices what is wrong.
    for (wrong, problem) in [
        ("rate(nanogrid_decision_total[5m]) > 0", "there is no metric `nanogrid_decision_total`"),
        (
            "nanogrid_decisions_total{verdict=\"absent\"}",
            "`nanogrid_decisions_total` has no `verdict=\"absent\"`",
        ),
        (
            "nanogrid_decisions_total{verdict!~\"abstain|nobody\"}",
            "`nanogrid_decisions_total` has no `verdict=\"nobody\"`",
        ),
        ("nanogrid_decisions_total{why=\"abstain\"}", "`nanogrid_decisions_total` has no `why=\"abstain\"`"),
        ("up == 0", "no metric of ours in `up == 0`"),
    ] {
        assert_eq!(check(wrong, &metrics), Err(problem.to_owned()));
    }
}

#[test]
fn every_alert_has_its_line_in_the_runbook() {
    let readme = in_repository("k8s/README.md");
    let (_, runbook) = readme.split_once("## Alerts").expect("a chapter about alerts");
    for Rule { alert, .. } in rules() {
        assert!(runbook.contains(&format!("| `{alert}` |")), "{alert} has no line");
    }
}
