//! Which experts are here, in which versions, and whether they can answer. Read by every request, written at start and
//! when a version is exchanged: so it is a snapshot that is replaced whole, and readers never wait. Who holds an expert that
//! was replaced ends with it; its memory goes with the last of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;

use crate::{error::Error, expert::Expert};

/// The snapshot of now.
#[derive(Default)]
pub(crate) struct Repository(ArcSwap<Snapshot>);

/// Everything that was given to this process.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    /// False until the name of every package is known.
    pub(crate) complete: bool,
    pub(crate) experts: BTreeMap<String, Versions>,
}

/// The versions of one expert, at least one.
#[derive(Clone, Default)]
pub(crate) struct Versions {
    /// The folder that its versions are read from.
    home: PathBuf,
    /// From `expert.toml`.
    preferred: Option<u32>,
    pub(crate) states: BTreeMap<u32, State>,
}

/// What has become of a package.
#[derive(Clone)]
pub(crate) enum State {
    Loading,
    Ready(Arc<Expert>),
    /// Broken, and why.
    Unavailable(String),
}

impl Repository {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Replaces the state of one version.
    pub(crate) fn put(&self, name: &str, version: u32, state: &State) {
        self.change(|snapshot| {
            snapshot.experts.entry(name.to_owned()).or_default().states.insert(version, state.clone());
        });
    }

    /// Where the versions of an expert are read from. The first one that is said stays.
    pub(crate) fn home(&self, name: &str, home: &Path) {
        self.change(|snapshot| {
            let versions = snapshot.experts.entry(name.to_owned()).or_default();
            if versions.home.as_os_str().is_empty() {
                versions.home = home.to_owned();
            }
        });
    }

    /// The version that is meant when none is named.
    pub(crate) fn prefer(&self, name: &str, version: u32) {
        self.change(|snapshot| {
            if let Some(versions) = snapshot.experts.get_mut(name) {
                versions.preferred = Some(version);
            }
        });
    }

    /// No further names will come.
    pub(crate) fn complete(&self) {
        self.change(|snapshot| snapshot.complete = true);
    }

    /// The expert that shall answer; `None` = its default version.
    pub(crate) fn find(&self, name: &str, version: Option<u32>) -> Result<Arc<Expert>, Error> {
        let snapshot = self.0.load();
        let versions = snapshot.versions(name)?;
        let version = version.unwrap_or_else(|| versions.default());
        match versions.states.get(&version) {
            Some(State::Ready(expert)) => Ok(Arc::clone(expert)),
            Some(State::Loading) => {
                Err(not_ready(name, version, "its package is still loading: try again soon"))
            }
            Some(State::Unavailable(reason)) => Err(not_ready(name, version, reason)),
            None => Err(Error::UnknownVersion { name: name.to_owned(), version, served: versions.listed() }),
        }
    }

    fn change(&self, change: impl Fn(&mut Snapshot)) {
        self.0.rcu(|snapshot| {
            let mut next = Snapshot::clone(snapshot);
            change(&mut next);
            next
        });
    }
}

impl Snapshot {
    pub(crate) fn versions(&self, name: &str) -> Result<&Versions, Error> {
        match self.experts.get(name) {
            Some(versions) => Ok(versions),
            None if self.complete => {
                Err(Error::UnknownExpert { name: name.to_owned(), served: join(self.experts.keys()) })
            }
            // Perhaps it is one of those still to come.
            None => Err(Error::Starting { name: name.to_owned() }),
        }
    }

    /// Every expert that can answer, by name and version.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Arc<Expert>> {
        self.experts.values().flat_map(Versions::ready)
    }
}

impl Versions {
    /// As `expert.toml` says if it is here, else the newest.
    pub(crate) fn default(&self) -> u32 {
        let newest = self.states.keys().next_back().copied().unwrap_or(1);
        self.preferred.filter(|version| self.states.contains_key(version)).unwrap_or(newest)
    }

    /// For people: all versions, with commas.
    pub(crate) fn listed(&self) -> String {
        join(self.states.keys())
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Can the default version answer?
    pub(crate) fn default_is_ready(&self) -> bool {
        matches!(self.states.get(&self.default()), Some(State::Ready(_)))
    }

    pub(crate) fn ready(&self) -> impl Iterator<Item = &Arc<Expert>> {
        self.states.values().filter_map(|state| match state {
            State::Ready(expert) => Some(expert),
            State::Loading | State::Unavailable(_) => None,
        })
    }
}

fn not_ready(name: &str, version: u32, reason: &str) -> Error {
    Error::NotReady { name: name.to_owned(), version, reason: reason.to_owned() }
}

fn join<T: ToString>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", name.to_string())).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> State {
        State::Unavailable("a hash does not match".to_owned())
    }

    #[test]
    fn the_default_is_the_preferred_version_if_it_is_here_and_else_the_newest() {
        let repository = Repository::default();
        repository.put("intent", 2, &broken());
        repository.put("intent", 10, &broken());
        let default = || repository.snapshot().versions("intent").unwrap().default();
        assert_eq!(default(), 10);
        repository.prefer("intent", 2);
        assert_eq!(default(), 2);
        repository.prefer("intent", 3);
        assert_eq!(default(), 10);
    }

    #[test]
    fn who_asks_for_something_else_learns_what_is_here() {
        let repository = Repository::default();
        let refusal = |name, version| repository.find(name, version).err().unwrap().to_string();
        assert!(refusal("intent", None).contains("starting"), "not known to be unknown yet");
        repository.put("intent", 1, &broken());
        repository.put("language", 3, &State::Loading);
        repository.complete();
        assert_eq!(refusal("topic", None), "no expert `topic` here; served: `intent`, `language`");
        assert_eq!(refusal("intent", Some(2)), "expert `intent` has no version 2 here; served: `1`");
        assert!(refusal("intent", None).ends_with("a hash does not match"));
        assert!(refusal("language", None).contains("still loading"));
    }
}
