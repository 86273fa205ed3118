//! One state of the grid, and what can be asked of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use nanogrid_resilience::BreakerSettings;
use nanogrid_settings::{ExpertName, Task, VersionLabel, grid};
use nanogrid_telemetry::metrics::{CallMetrics, VersionMetrics};
use tokio::time::Instant;

use super::{Allowance, Traffic, UNVERSIONED};
use crate::{
    endpoint::{Endpoint, Pool},
    error::Error,
    request::VersionChoice,
};

/// One state of the grid.
#[derive(Debug, Default)]
pub struct Grid {
    /// Counts the states accepted since the start; the first is 1.
    pub generation: u64,
    /// Of the grid file.
    pub sha256: String,
    pub(super) experts: BTreeMap<ExpertName, Arc<Expert>>,
}

/// One skill of the grid.
#[derive(Debug)]
pub struct Expert {
    /// Unique in the grid.
    pub name: ExpertName,
    /// Decides what it takes and how its answers are read.
    pub task: Task,
    /// One line for tables.
    pub title: String,
    /// Limit of one call.
    pub timeout: Option<Duration>,
    /// How calls to it are kept alive.
    pub policy: grid::Policy,
    /// When an endpoint is left alone.
    pub breaker: BreakerSettings,
    /// When a version is.
    pub gate: BreakerSettings,
    /// Is it sent what the client wants done with the text?
    pub reads_instructions: bool,
    /// What its calls may cost beyond a first try.
    pub allowance: Arc<Allowance>,
    /// Never empty.
    pub versions: Vec<Version>,
    /// Among `versions`, by weight.
    pub traffic: Traffic,
}

/// One model behind an expert's name.
#[derive(Debug)]
pub struct Version {
    /// At least 1, but for what has no versions here.
    pub number: u32,
    /// Share of the calls in basis points.
    pub weight: u32,
    /// Its role.
    pub label: Option<VersionLabel>,
    /// Counts the calls.
    pub calls: CallMetrics,
    /// Counts the tries.
    pub tries: VersionMetrics,
    /// What its endpoints share.
    pub pool: Arc<Pool>,
    /// Where it answers, whatever state they are in.
    pub endpoints: Vec<Arc<Endpoint>>,
}

impl Grid {
    /// A grid without a file, for tests of what only reads it.
    #[cfg(test)]
    pub fn of(experts: impl IntoIterator<Item = Expert>) -> Self {
        let experts = experts.into_iter().map(|expert| (expert.name.clone(), Arc::new(expert)));
        Self { generation: 1, sha256: String::new(), experts: experts.collect() }
    }

    /// By name, if it is there.
    pub fn get(&self, name: &str) -> Option<&Arc<Expert>> {
        self.experts.get(name)
    }

    /// By name, or the error that lists the names.
    pub fn expert(&self, name: &str) -> Result<&Arc<Expert>, Error> {
        self.get(name).ok_or_else(|| Error::UnknownExpert {
            name: name.to_owned(),
            known: self.experts.keys().cloned().collect(),
        })
    }

    /// Sorted by name.
    pub fn experts(&self) -> impl Iterator<Item = &Arc<Expert>> {
        self.experts.values()
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.experts().flat_map(|expert| expert.endpoints())
    }
}

impl Expert {
    /// The version that `choice` names, by its place in `versions`.
    pub fn version(&self, choice: VersionChoice) -> Result<usize, Error> {
        let is_it = |version: &Version| match choice {
            VersionChoice::Number(number) => version.number == number,
            VersionChoice::Label(label) => version.label == Some(label),
        };
        self.versions.iter().position(is_it).ok_or_else(|| Error::UnknownVersion {
            expert: self.name.clone(),
            version: choice,
            known: self.versions.iter().map(|version| version.number).collect(),
        })
    }

    /// The version of this number, or the error that lists those there are.
    pub fn number(&self, number: u32) -> Result<&Version, Error> {
        self.version(VersionChoice::Number(number)).map(|idx| &self.versions[idx])
    }

    /// An answer of this version was none, as it turned out.
    pub fn answered_nonsense(&self, version: Option<u32>) {
        let version = version.and_then(|number| self.number(number).ok());
        version.into_iter().for_each(|version| version.pool.arm.invalid());
    }

    /// What people call the version that is not being tried, by its place in `versions`.
    pub fn stable_version(&self) -> Option<usize> {
        self.versions.iter().position(|version| version.label == Some(VersionLabel::Stable))
    }

    /// The one that most requests see, by its place in `versions`.
    pub fn main_version(&self) -> usize {
        let by_weight = self.versions.iter().enumerate().max_by_key(|(_, version)| version.weight);
        by_weight.map_or(0, |(idx, _)| idx)
    }

    /// Of every version.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.versions.iter().flat_map(|version| &version.endpoints)
    }

    /// Can a call be sent to it now?
    pub fn is_ready(&self) -> bool {
        self.versions.iter().any(Version::is_ready)
    }
}

impl Version {
    /// Its number, if it has one.
    pub fn number(&self) -> Option<u32> {
        Some(self.number).filter(|number| *number != UNVERSIONED)
    }

    /// Its number as it is written, empty where there is none.
    pub fn name(&self) -> String {
        self.number().map_or_else(String::new, |number| number.to_string())
    }

    /// Can a call be sent to it now?
    pub fn is_ready(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is_ready())
    }

    /// Do more than half of its endpoints say that they have too much to do?
    pub fn is_mostly_shedding(&self, now: Instant) -> bool {
        let ready = || self.endpoints.iter().filter(|endpoint| endpoint.is_ready());
        ready().filter(|endpoint| endpoint.history.sheds(now)).count() * 2 > ready().count()
    }

    /// What each of its endpoints lacks.
    pub fn why_not_ready(&self) -> String {
        let reasons = self.endpoints.iter().map(|endpoint| {
            let kind = endpoint.kind().as_str();
            format!("{} is {kind}: {}", endpoint.identity.address, endpoint.reason())
        });
        reasons.collect::<Vec<_>>().join("; ")
    }
}
