//! From a grid to its file: the other way round.

use std::time::Duration;

use serde::Serialize;

use super::{
    BasisPoints, Breaker, Cache, Expert, Fallback, Grid, Hedge, Policy, Retry, RetryOn, Version, VersionLabel,
};
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
    // What has its default is left out, so that a written file says only what is special.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RawRetry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hedge: Option<RawHedge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<RawBreaker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<RawCache>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallback: Vec<RawFallback<'a>>,
    version: Vec<RawVersion<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RawRetry<'a> {
    attempts: u32,
    #[serde(skip_serializing_if = "<[RetryOn]>::is_empty")]
    also_on: &'a [RetryOn],
    budget: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RawHedge {
    after_percentile: f64,
    budget: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RawBreaker {
    consecutive_failures: u32,
    success_rate: f64,
    window: String,
    least_calls: u32,
    rest: String,
    longest_rest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RawCache {
    max_bytes: usize,
    ttl: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum RawFallback<'a> {
    Version(u32),
    Expert(&'a ExpertName),
    Label(&'a str),
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
        let Expert { name, task, title, timeout, versions, policy } = expert;
        let Policy { retry, hedge, breaker, cache, fallback } = policy;
        Self {
            name,
            task: *task,
            title,
            timeout: timeout.map(time),
            retry: (*retry != Retry::default()).then(|| retry.into()),
            hedge: hedge.as_ref().map(RawHedge::from),
            breaker: (*breaker != Breaker::default()).then(|| breaker.into()),
            cache: cache.as_ref().map(RawCache::from),
            fallback: fallback.iter().map(RawFallback::from).collect(),
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

impl<'a> From<&'a Retry> for RawRetry<'a> {
    fn from(Retry { attempts, also_on, budget }: &'a Retry) -> Self {
        Self { attempts: *attempts, also_on, budget: percent(*budget) }
    }
}

impl From<&Hedge> for RawHedge {
    fn from(Hedge { after, budget }: &Hedge) -> Self {
        Self { after_percentile: percent(*after), budget: percent(*budget) }
    }
}

impl From<&Breaker> for RawBreaker {
    fn from(breaker: &Breaker) -> Self {
        let Breaker { consecutive_failures, success_rate, window, least_calls, rest, longest_rest } = breaker;
        Self {
            consecutive_failures: *consecutive_failures,
            success_rate: percent(*success_rate),
            window: time(*window),
            least_calls: *least_calls,
            rest: time(*rest),
            longest_rest: time(*longest_rest),
        }
    }
}

impl From<&Cache> for RawCache {
    fn from(Cache { max_bytes, ttl }: &Cache) -> Self {
        Self { max_bytes: *max_bytes, ttl: time(*ttl) }
    }
}

impl<'a> From<&'a Fallback> for RawFallback<'a> {
    fn from(fallback: &'a Fallback) -> Self {
        match fallback {
            Fallback::Version(version) => Self::Version(*version),
            Fallback::Expert(name) => Self::Expert(name),
            Fallback::Label(label) => Self::Label(label),
        }
    }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Shares are kept as `f32`; written as people would: `10`, not `10.000000149011612`.
fn percent(share: f32) -> f64 {
    (f64::from(share) * 1e6).round() / 1e4
}
