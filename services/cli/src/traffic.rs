//! `nanogrid traffic`: how an expert's requests are to be split among its versions, and how they really were.
//!
//! The router counts calls since it started; two looks a moment apart tell what has become of the last ones.

use std::time::Duration;

use clap::Args;
use comfy_table::{Attribute, CellAlignment, Color};
use nanogrid_proto::v1::Expert;
use serde_json::{Value, json};

use crate::{
    Global,
    client::Grid,
    error::{Error, Exit},
    print::{self, bar, cell},
};

/// Characters of a whole bar.
const WIDTH: usize = 20;

/// Show how the requests of an expert are split among its versions.
#[derive(Args)]
pub(crate) struct Traffic {
    /// Only of this expert
    expert: Option<String>,
    /// Watch the requests for so long
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1s", value_name = "TIME")]
    over: Duration,
}

/// One version's part of its expert's calls.
#[derive(Debug, PartialEq)]
struct Part {
    expert: String,
    version: String,
    label: String,
    /// Basis points.
    weight: u32,
    lately: Counts,
    since_start: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    calls: u64,
    failed: u64,
    /// Of the calls of the expert's versions together; `None` = there were none.
    share: Option<f64>,
}

impl Traffic {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let mut grid = Grid::at(&global.addr).await?;
        let before = self.look(&mut grid).await?;
        tokio::time::sleep(self.over).await;
        let now = self.look(&mut grid).await?;
        let parts = compare(&before, &now);
        if global.json {
            print::json(&to_json(&parts, self.over));
        } else {
            print::out(&render(&parts, self.over));
        }
        Ok(Exit::Done)
    }

    async fn look(&self, grid: &mut Grid) -> Result<Vec<Expert>, Error> {
        let mut experts = grid.experts().await?.experts;
        let Some(name) = &self.expert else { return Ok(experts) };
        let known: Vec<String> = experts.iter().map(|expert| expert.name.clone()).collect();
        experts.retain(|expert| expert.name == *name);
        if experts.is_empty() {
            return Err(Error::UnknownExpert { name: name.clone(), known: known.join(", ") });
        }
        Ok(experts)
    }
}

fn compare(before: &[Expert], now: &[Expert]) -> Vec<Part> {
    let mut parts = Vec::new();
    for expert in now {
        let lately = expert.versions.iter().map(|version| {
            let (calls, failed) = counted(before, &expert.name, &version.version);
            // A router that has just started again counts from 0.
            (version.calls.saturating_sub(calls), version.failed.saturating_sub(failed))
        });
        let lately: Vec<(u64, u64)> = lately.collect();
        let all_lately = lately.iter().map(|(calls, _)| calls).sum();
        let all = expert.versions.iter().map(|version| version.calls).sum();
        parts.extend(expert.versions.iter().zip(lately).map(|(version, lately)| Part {
            expert: expert.name.clone(),
            version: version.version.clone(),
            label: version.label.clone(),
            weight: version.weight,
            lately: Counts::new(lately, all_lately),
            since_start: Counts::new((version.calls, version.failed), all),
        }));
    }
    parts
}

/// A version's calls, and those that failed; none where it was not known yet.
fn counted(experts: &[Expert], name: &str, number: &str) -> (u64, u64) {
    let versions = experts.iter().filter(|expert| expert.name == name).flat_map(|expert| &expert.versions);
    let mut found = versions.filter(|version| version.version == number);
    found.next().map_or((0, 0), |version| (version.calls, version.failed))
}

impl Counts {
    fn new((calls, failed): (u64, u64), all: u64) -> Self {
        Self { calls, failed, share: (all > 0).then(|| calls as f64 / all as f64) }
    }
}

fn render(parts: &[Part], over: Duration) -> String {
    if parts.is_empty() {
        return "the grid knows no expert\n".to_owned();
    }
    let mut table = print::table();
    table.set_header([
        "EXPERT".to_owned(),
        "VERSION".to_owned(),
        "ROLE".to_owned(),
        "WEIGHT".to_owned(),
        format!("IN THE LAST {}", print::duration(over).to_uppercase()),
        "CALLS/S".to_owned(),
        "FAILED".to_owned(),
        "SINCE THE START".to_owned(),
    ]);
    let mut last = "";
    for part in parts {
        let Part { expert, version, label, weight, lately, since_start } = part;
        let name = if last == expert { "" } else { expert };
        last = expert;
        let right = CellAlignment::Right;
        table.add_row(vec![
            cell(name).add_attribute(Attribute::Bold),
            cell(version),
            cell(label),
            cell(format!("{} %", f64::from(*weight) / 100.0)).set_alignment(right),
            cell(share(lately.share)),
            cell(format!("{:.0}", lately.calls as f64 / over.as_secs_f64().max(1e-9))).set_alignment(right),
            cell(lately.failed).set_alignment(right).fg(if lately.failed > 0 {
                Color::Red
            } else {
                Color::Reset
            }),
            cell(totals(*since_start)).add_attribute(Attribute::Dim),
        ]);
    }
    print::lines(table)
}

/// e.g. `#####---------------  25.0 %`
fn share(share: Option<f64>) -> String {
    match share {
        Some(share) => format!("{} {:>5.1} %", bar(share, WIDTH), 100.0 * share),
        None => "no calls".to_owned(),
    }
}

/// e.g. `1200 calls (4.8 %), 3 failed`
fn totals(Counts { calls, failed, share }: Counts) -> String {
    let share = share.map_or_else(String::new, |share| format!(" ({:.1} %)", 100.0 * share));
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    format!("{calls} calls{share}{failed}")
}

fn to_json(parts: &[Part], over: Duration) -> Value {
    let counts =
        |Counts { calls, failed, share }: Counts| json!({ "calls": calls, "failed": failed, "share": share });
    let part = |part: &Part| {
        json!({
            "expert": part.expert,
            "version": part.version,
            "label": part.label,
            "weight": part.weight,
            "lately": counts(part.lately),
            "since_start": counts(part.since_start),
        })
    };
    json!({
        "over_ms": u64::try_from(over.as_millis()).ok(),
        "versions": parts.iter().map(part).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use nanogrid_proto::v1::Version;

    use super::*;

    fn expert(versions: &[(u64, u64)]) -> Expert {
        let version = |(idx, (calls, failed)): (usize, &(u64, u64))| Version {
            version: (idx + 1).to_string(),
            weight: if idx == 0 { 9_500 } else { 500 },
            calls: *calls,
            failed: *failed,
            ..Version::default()
        };
        Expert {
            name: "intent".to_owned(),
            versions: versions.iter().enumerate().map(version).collect(),
            ..Expert::default()
        }
    }

    #[test]
    fn what_came_between_two_looks_is_what_was_seen_lately() {
        let parts = compare(&[expert(&[(100, 1), (10, 1)])], &[expert(&[(190, 1), (20, 3)])]);
        assert_eq!(parts[0].lately, Counts { calls: 90, failed: 0, share: Some(0.9) });
        assert_eq!(parts[1].lately, Counts { calls: 10, failed: 2, share: Some(0.1) });
        assert_eq!(parts[0].since_start.calls, 190);
        let text = anstream::adapter::strip_str(&render(&parts, Duration::from_secs(2))).to_string();
        for words in ["95 %", "##################--  90.0 %", "45", "20 calls (9.5 %), 3 failed"] {
            assert!(text.contains(words), "`{words}` is not in:\n{text}");
        }
        let json = &to_json(&parts, Duration::from_secs(2))["versions"][1];
        assert_eq!((&json["weight"], &json["lately"]["share"]), (&json!(500), &json!(0.1)));
    }

    #[test]
    fn without_calls_there_are_no_shares_and_a_restarted_router_counts_anew() {
        let parts = compare(&[expert(&[(100, 0)])], &[expert(&[(0, 0), (0, 0)])]);
        assert!(parts.iter().all(|part| part.lately == Counts::default()));
        assert!(render(&parts, Duration::ZERO).contains("no calls"));
        assert!(render(&[], Duration::ZERO).contains("no expert"));
    }
}
