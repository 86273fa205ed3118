//! From a grid to its file: the other way round.

use serde::Serialize;

use super::{BasisPoints, Expert, Grid, Version, VersionLabel};
use crate::{ExpertName, Task};

/// The tables in the order in which they are written.
#[derive(Serialize)]
struct RawGrid<'a> {
    expert: Vec<RawExpert<'a>>,
}

#[derive(Serialize)]
struct RawExpert<'a> {
    name: &'a ExpertName,
    task: Task,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    version: Vec<RawVersion<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RawVersion<'a> {
    version: u32,
    weight: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<VersionLabel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_sha256: Option<&'a str>,
    endpoints: Vec<String>,
}

pub(super) fn grid(grid: &Grid) -> String {
    let expert = grid.experts.iter().map(RawExpert::from).collect();
    toml::to_string(&RawGrid { expert }).expect("texts, numbers and lists of tables are TOML")
}

impl<'a> From<&'a Expert> for RawExpert<'a> {
    fn from(expert: &'a Expert) -> Self {
        let Expert { name, task, title, timeout, versions } = expert;
        Self {
            name,
            task: *task,
            title,
            timeout: timeout.map(|timeout| humantime::format_duration(timeout).to_string()),
            version: versions.iter().map(RawVersion::from).collect(),
        }
    }
}

impl<'a> From<&'a Version> for RawVersion<'a> {
    fn from(version: &'a Version) -> Self {
        let Version { version, weight: BasisPoints(weight), label, model_sha256, endpoints } = version;
        Self {
            version: *version,
            weight: f64::from(*weight) / 100.0,
            label: *label,
            model_sha256: model_sha256.as_deref(),
            endpoints: endpoints.iter().map(ToString::to_string).collect(),
        }
    }
}
