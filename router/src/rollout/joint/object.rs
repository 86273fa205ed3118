//! An expert's rollout as a ConfigMap: what was decided under one key, and under a key of its own what each router has seen.
//!
//! ```text
//! rollouts-intent
//!   rollout             { leader, kept }   by whoever decides, and by routers that people ask for something
//!   evidence.router-a   { ... }            by router-a alone
//!   evidence.router-b   { ... }            by router-b alone
//! ```

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use nanogrid_rollout::{Evidence, Gate, Rollout};
use serde::{Deserialize, Serialize};

use super::cluster::ClusterError;
use crate::rollout::state::Kept;

const ROLLOUT: &str = "rollout";
const EVIDENCE: &str = "evidence.";

/// A few rollouts with all their evidence, so that an object which changes every other second stays small: the API's own limit is
/// sixteen times as much.
const LARGEST_RECORD: usize = 64 << 10;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) resource_version: String,
    pub(super) record: Record,
    /// By router.
    pub(super) contributions: BTreeMap<String, Contribution>,
    /// As they are written, by router; also those that cannot be read.
    written: BTreeMap<String, String>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Whoever has last taken over the decisions. Others may not decide before they have taken over as well.
    pub(super) leader: String,
    /// Its evidence is that of routers that have gone.
    pub(super) kept: Kept,
}

/// What one router has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Contribution {
    /// Of which rollout,
    pub(super) rollout_id: String,
    /// and of which of its steps, by its beginning, [`Evidence::step`] is.
    pub(super) step_began_ms: u64,
    pub(super) evidence: Evidence,
    /// Broken since the rollout began.
    pub(super) gates: Vec<Gate>,
    /// From where on an answer would be slow, by the times of its own stable endpoints.
    pub(super) slow_above_us: Option<u64>,
    /// Rises: a router that has nothing new to say is there all the same.
    pub(super) beat: u64,
}

impl Contribution {
    /// What counts of it now: of another step, only what is kept from step to step; nothing of another rollout.
    pub(super) fn evidence_for(&self, rollout: &Rollout) -> Option<Evidence> {
        if self.rollout_id != rollout.plan.id {
            return None;
        }
        let mut evidence = self.evidence.clone();
        if self.step_began_ms != rollout.step_began_ms {
            evidence.begin_step();
        }
        Some(evidence)
    }
}

impl Record {
    /// As it is written. Of a long history only the end fits.
    pub(super) fn write(&mut self) -> Result<String, ClusterError> {
        loop {
            let text =
                serde_json::to_string(self).map_err(|error| ClusterError::Refused(error.to_string()))?;
            if text.len() <= LARGEST_RECORD || self.kept.history.pop_front().is_none() {
                return Ok(text);
            }
        }
    }
}

impl Object {
    pub(super) fn read(object: ConfigMap) -> Result<Self, ClusterError> {
        let name = object.metadata.name.unwrap_or_default();
        let broken = |reason: String| ClusterError::Broken { object: name.clone(), reason };
        let mut contents = object.data.unwrap_or_default();
        let record = contents.remove(ROLLOUT).ok_or_else(|| broken(format!("it has no `{ROLLOUT}`")))?;
        let record = serde_json::from_str(&record).map_err(|error| broken(format!("{ROLLOUT}: {error}")))?;
        let router = |(key, text): (String, String)| Some((key.strip_prefix(EVIDENCE)?.to_owned(), text));
        let written: BTreeMap<String, String> = contents.into_iter().filter_map(router).collect();
        // What cannot be read was written by another version of this program, which may be on its way out.
        let read =
            |(router, text): (&String, &String)| Some((router.clone(), serde_json::from_str(text).ok()?));
        Ok(Self {
            resource_version: object.metadata.resource_version.unwrap_or_default(),
            record,
            contributions: written.iter().filter_map(read).collect(),
            written,
        })
    }

    /// Is this the state of a later moment? Resource versions are numbers that rise.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        let number = |object: &Self| object.resource_version.parse::<u64>().ok();
        match (number(self), number(other)) {
            (Some(this), Some(other)) => this > other,
            _ => self.resource_version != other.resource_version,
        }
    }

    pub(super) fn rollout(&self) -> &Rollout {
        &self.record.kept.rollout
    }

    pub(super) fn written_by(&self, router: &str) -> Option<&str> {
        self.written.get(router).map(String::as_str)
    }

    pub(super) fn routers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.written.iter().map(|(router, text)| (&**router, &**text))
    }
}

/// The key under which a router writes.
pub(super) fn key_of(router: &str) -> String {
    format!("{EVIDENCE}{router}")
}

/// An object that has only a record.
pub(super) fn contents(record: String) -> BTreeMap<String, String> {
    BTreeMap::from([(ROLLOUT.to_owned(), record)])
}

/// What changes: the record, and the keys of routers that are not needed any more.
pub(super) fn changes<'a>(
    record: String,
    gone: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, Option<String>> {
    let gone = gone.map(|router| (key_of(router), None));
    gone.chain([(ROLLOUT.to_owned(), Some(record))]).collect()
}

/// A router's name among the others, and in keys.
pub(super) fn router_name(host: &str, process: u32) -> String {
    let host: String =
        host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).take(80).collect();
    // A restarted container has the same host name, and must not overwrite what the one before has seen.
    format!("{}-{process:08x}", if host.is_empty() { "router" } else { &host })
}

#[cfg(test)]
mod tests;
