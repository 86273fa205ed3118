//! From what is written to what holds: every rule of the grid file.

use std::{collections::HashMap, net::Ipv6Addr, str::FromStr};

use toml::de::DeValue;

use super::{BasisPoints, EndpointSpec, Expert, Version, VersionLabel, policy};
use crate::document::{
    Table,
    value::{self, must_be},
};

pub(super) fn experts(file: &Table<'_>) -> Option<Vec<Expert>> {
    // Fallbacks name experts that stand further down.
    let tasks: HashMap<String, String> = file
        .tables("expert", "name", |table| {
            Some((table.peek_text("name")?.to_owned(), table.peek_text("task")?.to_owned()))
        })
        .into_iter()
        .collect();
    let mut names = HashMap::new();
    let experts = file.tables("expert", "name", |table| {
        let expert = expert(table, &tasks);
        // A name that is used again is wrong even where the rest of its table is wrong as well.
        if let Some(name) = table.peek_text("name")
            && let Some(line) = names.insert(name.to_owned(), table.line())
        {
            table.note("name", format!("is used twice, first in line {line}: `{name}`"));
        }
        expert
    });
    if file.count("expert") == 0 && !file.has("expert") {
        // Also what a file looks like while something rewrites it: better the grid of before than an empty one.
        file.note(
            "",
            "there is no expert in it: add an [[expert]] with `name`, `task` and [[expert.version]]",
        );
    }
    Some(experts)
}

fn expert(table: &Table<'_>, tasks: &HashMap<String, String>) -> Option<Expert> {
    let name = table.required("name", value::parsed);
    let task = table.required("task", value::parsed);
    let title = table.optional("title", value::any_text).unwrap_or_default();
    let timeout = table.optional("timeout", value::duration);
    let versions = versions(table);
    let policy = policy::policy(table, tasks);
    Some(Expert { name: name?, task: task?, title, timeout, versions: versions?, policy: policy? })
}

fn versions(expert: &Table<'_>) -> Option<Vec<Version>> {
    let n = expert.count("version");
    let (mut numbers, mut labels) = (HashMap::new(), HashMap::new());
    let versions = expert.tables("version", "version", |table| {
        let version = version(table, n)?;
        if let Some(line) = numbers.insert(version.version, table.line()) {
            table.note("version", format!("is used twice, first in line {line}: {}", version.version));
        }
        if let Some(label) = version.label
            && let Some(line) = labels.insert(label, table.line())
        {
            table.note("label", format!("is used twice, first in line {line}: `{label}`"));
        }
        Some(version)
    });
    if n == 0 {
        if !expert.has("version") {
            expert.note("version", "missing: add [[expert.version]] with `version` and `endpoints`");
        }
        return None;
    }
    let sum: u32 = versions.iter().map(|version| version.weight.0).sum();
    // Where a version could not be read its weight may be what is lacking.
    if versions.len() == n && sum != BasisPoints::ALL.0 {
        expert.note("version", format!("the weights must sum to 100: {}", BasisPoints(sum)));
    }
    Some(versions)
}

fn version(table: &Table<'_>, n_versions: usize) -> Option<Version> {
    let version = table.required("version", value::version);
    let weight = if n_versions == 1 && !table.has("weight") {
        Some(BasisPoints::ALL)
    } else {
        table.required("weight", percent)
    };
    let label = table.optional("label", value::parsed);
    let model_sha256 = table.optional("model-sha256", value::sha256);
    let endpoints = endpoints(table);
    Some(Version { version: version?, weight: weight?, label, model_sha256, endpoints: endpoints? })
}

fn endpoints(version: &Table<'_>) -> Option<Vec<EndpointSpec>> {
    const EXAMPLE: &str = "endpoints = [\"static://127.0.0.1:7001\"]";
    if !version.has("endpoints") {
        version.note("endpoints", format!("missing: say where it answers, e.g. {EXAMPLE}"));
        return None;
    }
    let endpoints: Vec<EndpointSpec> = version.list("endpoints", value::parsed)?;
    if endpoints.is_empty() {
        version.note("endpoints", format!("must not be empty, e.g. {EXAMPLE}"));
    }
    for (i, endpoint) in endpoints.iter().enumerate() {
        if endpoints[..i].contains(endpoint) {
            version.note("endpoints", format!("is listed twice: `{endpoint}`"));
        }
    }
    Some(endpoints)
}

fn percent(value: &DeValue<'_>) -> Result<BasisPoints, String> {
    let expected = "a percentage from 0 to 100 with at most two decimals";
    let hundredths = value::number(value)? * 100.0;
    let whole = hundredths.round();
    // Decimal fractions are not exact in binary: 0.29 * 100 is 28.999999999999996.
    let is_whole = (hundredths - whole).abs() < 1e-6;
    if is_whole && (0.0..=10_000.0).contains(&whole) {
        Ok(BasisPoints(whole as u32))
    } else {
        Err(must_be(expected, value))
    }
}

impl FromStr for VersionLabel {
    type Err = String;

    fn from_str(label: &str) -> Result<Self, String> {
        [Self::Stable, Self::Canary]
            .into_iter()
            .find(|known| known.as_str() == label)
            .ok_or_else(|| format!("must be `stable` or `canary`: `{label}`"))
    }
}

impl FromStr for EndpointSpec {
    type Err = String;

    fn from_str(endpoint: &str) -> Result<Self, String> {
        match endpoint.split_once("://") {
            Some(("static", host_port)) if is_host_port(host_port) => {
                Ok(Self::Static { host_port: host_port.to_owned() })
            }
            Some((scheme @ ("dns" | "k8s"), _)) => Err(format!(
                "`{scheme}://` is not served by this version: list the addresses as `static://HOST:PORT`: `{endpoint}`"
            )),
            _ => Err(format!("must be like `static://127.0.0.1:7001`: `{endpoint}`")),
        }
    }
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    // Not `parse` alone, which allows a plus sign.
    let is_port =
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_name = |host: &str| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    is_port && is_host
}
