//! The grid file: which experts there are, in which versions, and where each of them answers.
//!
//! ```toml
//! [[expert]]
//! name = "intent"                           # lower-case words with hyphens
//! task = "text-classification"
//! title = "what a user asks for"            # optional
//! timeout = "500ms"                         # optional, of one call
//!
//! [[expert.version]]
//! version = 1                               # a positive integer
//! weight = 97.5                             # percent, at most two decimals; optional when there is one version
//! label = "stable"                          # optional: stable or canary
//! model-sha256 = "…"                        # optional: endpoints with another model are refused
//! endpoints = ["static://127.0.0.1:7001"]
//! ```
//!
//! Retries, breakers, hedging, caching and fallbacks per expert: see [`Policy`].

mod check;
mod policy;
#[cfg(test)]
mod tests;
mod write;

use std::{fmt, fs, path::Path, time::Duration};

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use policy::{Breaker, Cache, Fallback, Hedge, Policy, Retry, RetryOn};

use crate::{Error, ExpertName, Problems, Task, document};

/// A checked grid file.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// In the order of the file; at least one, names are unique.
    pub experts: Vec<Expert>,
    /// Of the file's text, hex: tells two states of the file apart.
    pub sha256: String,
}

/// `[[expert]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Expert {
    /// Unique in the file.
    pub name: ExpertName,
    /// What it does.
    pub task: Task,
    /// One line for tables; may be empty.
    pub title: String,
    /// Limit of one call; absent = the request's deadline alone.
    pub timeout: Option<Duration>,
    /// At least one, numbers and labels are unique, weights sum to [`BasisPoints::ALL`].
    pub versions: Vec<Version>,
    /// How calls to it are kept alive.
    pub policy: Policy,
}

/// `[[expert.version]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// At least 1.
    pub version: u32,
    /// Its share of the expert's calls.
    pub weight: BasisPoints,
    /// Which role it plays.
    pub label: Option<VersionLabel>,
    /// Hex, 64 lower-case digits: endpoints that serve another model are refused.
    pub model_sha256: Option<String>,
    /// At least one, without duplicates.
    pub endpoints: Vec<EndpointSpec>,
}

/// A share in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasisPoints(pub u32);

impl BasisPoints {
    /// 100 %.
    pub const ALL: Self = Self(10_000);
}

impl fmt::Display for BasisPoints {
    /// As percent, e.g. `97.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 100.0)
    }
}

/// The role of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionLabel {
    /// What everybody gets.
    Stable,
    /// What is being tried.
    Canary,
}

/// Where a version answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointSpec {
    /// `static://host:port`
    Static {
        /// e.g. `127.0.0.1:7001` or `[::1]:7001`
        host_port: String,
    },
}

impl Grid {
    /// Reads and checks `path`; every problem is reported at once.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(Self::parse(&text, &path.display().to_string())?)
    }

    /// Checks `text`; `source` is what problems call the file.
    pub fn parse(text: &str, source: &str) -> Result<Self, Problems> {
        let experts = document::read(source, text, check::experts)?;
        let sha256 = format!("{:x}", Sha256::digest(text));
        Ok(Self { experts, sha256 })
    }

    /// The grid as a file: parsing it again gives the same experts.
    pub fn to_toml(&self) -> String {
        write::grid(self)
    }
}

impl VersionLabel {
    /// `stable` or `canary`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }
}

impl fmt::Display for VersionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static { host_port } => write!(f, "static://{host_port}"),
        }
    }
}
