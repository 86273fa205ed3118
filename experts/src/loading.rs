//! From folders to experts that answer. A broken package is left out, with its reason where people and tools look for it
//! (log, metric, health, RepositoryIndex); only when none is left is there nothing to serve. Later, a version can be
//! exchanged: the new one is complete before the old one goes, so nobody notices but by the answers.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nanogrid_onnx::Package;
use nanogrid_serving::Health;
use nanogrid_settings::{ExpertManifest, InferenceSettings, LimitSettings};
use nanogrid_telemetry::metrics::ExpertMetrics;

use crate::{
    error::Error,
    expert::Expert,
    host::StartError,
    repository::{Repository, State},
    task::LoadError,
};

pub(crate) struct Loading {
    pub(crate) repository: Arc<Repository>,
    pub(crate) health: Health,
    pub(crate) metrics: ExpertMetrics,
    pub(crate) limits: InferenceSettings,
    pub(crate) limit: LimitSettings,
    /// One package at a time: what the process grows by meanwhile is the memory of that one.
    pub(crate) one: Mutex<()>,
}

impl Loading {
    /// Opens all packages, so that every name is known soon, then loads them one after another.
    pub(crate) fn run(&self, folders: &[PathBuf]) -> Result<(), StartError> {
        let mut broken = Vec::new();
        let mut opened = Vec::new();
        for folder in folders {
            match self.open(folder) {
                Ok(package) => opened.push(package),
                Err(reason) => broken.push(reason),
            }
        }
        self.repository.complete();
        for package in opened {
            let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(reason) = self.load(package) {
                broken.push(reason);
            }
        }
        if self.repository.snapshot().ready().next().is_none() {
            return Err(StartError::NothingToServe(broken));
        }
        self.health.set("", true);
        Ok(())
    }

    fn open(&self, folder: &Path) -> Result<Package, String> {
        let package = match Package::open(folder) {
            Ok(package) => package,
            Err(error) => {
                let (name, version) = names(folder);
                self.repository.home(&name, &home(folder));
                return Err(self.broken(&name, version, folder, &error.into()));
            }
        };
        let name = package.name.as_str();
        let versions = self.repository.snapshot();
        if versions.experts.get(name).is_some_and(|versions| versions.states.contains_key(&package.version)) {
            let error = LoadError::Twice { name: name.to_owned(), version: package.version };
            return Err(self.refused(name, package.version, folder, &error));
        }
        self.repository.home(name, &home(folder));
        self.repository.put(name, package.version, &State::Loading);
        if let Some(manifest) = package.folder.parent().and_then(manifest) {
            self.repository.prefer(name, manifest.default_version);
        }
        self.health.set(name, false);
        Ok(package)
    }

    fn load(&self, package: Package) -> Result<(), String> {
        let (name, version, folder) = (package.name.clone(), package.version, package.folder.clone());
        match Expert::load(package, &self.limits, &self.limit, &self.metrics) {
            Ok(expert) => {
                tracing::info!(expert = %name, version, memory = expert.memory, folder = %folder.display(), "loaded");
                self.repository.put(name.as_str(), version, &State::Ready(Arc::new(expert)));
                self.report_health(name.as_str());
                Ok(())
            }
            Err(error) => Err(self.broken(name.as_str(), version, &folder, &error)),
        }
    }

    /// Reads a version from disk, again or for the first time, and puts it in the place of the one that is served under
    /// its number. `None` = the default one of `expert.toml`. What cannot be loaded replaces nothing.
    pub(crate) fn exchange(&self, name: &str, version: Option<u32>) -> Result<(), Error> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let home = self.repository.snapshot().versions(name)?.home().to_owned();
        let folder = version.map_or_else(|| home.clone(), |version| home.join(version.to_string()));
        let failed = |reason: String| Error::NotLoadable { name: name.to_owned(), reason };
        let package = Package::open(&folder).map_err(|error| failed(error.to_string()))?;
        if package.name.as_str() != name {
            let found = &package.name;
            return Err(failed(format!("{} is now the package of `{found}`: start it anew", home.display())));
        }
        let version = package.version;
        match Expert::load(package, &self.limits, &self.limit, &self.metrics) {
            Ok(expert) => {
                tracing::info!(expert = name, version, memory = expert.memory, folder = %folder.display(), "exchanged");
                self.repository.put(name, version, &State::Ready(Arc::new(expert)));
                if let Some(manifest) = manifest(&home) {
                    self.repository.prefer(name, manifest.default_version);
                }
                self.report_health(name);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(expert = name, version, folder = %folder.display(), %error, "version left out");
                Err(failed(error.to_string()))
            }
        }
    }

    /// Answers no more with this version, or with any. Requests that it has are answered; then its memory is free.
    pub(crate) fn unload(&self, name: &str, version: Option<u32>) -> Result<(), Error> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.repository.snapshot();
        let versions = snapshot.versions(name)?;
        if let Some(version) = version.filter(|version| !versions.states.contains_key(version)) {
            return Err(Error::UnknownVersion { name: name.to_owned(), version, served: versions.listed() });
        }
        for &known in versions.states.keys().filter(|known| version.is_none_or(|version| version == **known))
        {
            tracing::info!(expert = name, version = known, "unloaded");
            self.repository.put(name, known, &State::Unavailable(UNLOADED.to_owned()));
            self.metrics.model(name, &known.to_string()).ready(false);
        }
        self.report_health(name);
        Ok(())
    }

    /// The rest goes on without it.
    fn broken(&self, name: &str, version: u32, folder: &Path, error: &LoadError) -> String {
        self.repository.put(name, version, &State::Unavailable(error.to_string()));
        self.report_health(name);
        self.metrics.model(name, &version.to_string()).ready(false);
        self.refused(name, version, folder, error)
    }

    fn refused(&self, name: &str, version: u32, folder: &Path, error: &LoadError) -> String {
        self.metrics.refused();
        tracing::warn!(expert = name, version, folder = %folder.display(), %error, "package left out");
        error.to_string()
    }

    fn report_health(&self, name: &str) {
        let ready =
            self.repository.snapshot().experts.get(name).is_some_and(|versions| versions.default_is_ready());
        self.health.set(name, ready);
    }
}

const UNLOADED: &str = "it was unloaded: RepositoryModelLoad brings it back";

/// The folder that holds the versions of an expert; an export from elsewhere has one version, and is it.
fn home(folder: &Path) -> PathBuf {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let is_home = |folder: &&Path| folder.join("expert.toml").is_file();
    folder.ancestors().take(2).find(is_home).unwrap_or(&folder).to_owned()
}

/// What a package that cannot be opened is called: by its `expert.toml` if that can be read, else by its folder's name.
fn names(folder: &Path) -> (String, u32) {
    let name = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let version = name(folder).and_then(|name| name.parse().ok()).filter(|version| *version > 0);
    let expert = if version.is_some() { folder.parent().unwrap_or(folder) } else { folder };
    match manifest(expert) {
        Some(manifest) => (manifest.name.to_string(), version.unwrap_or(manifest.default_version)),
        None => (name(expert).unwrap_or_else(|| expert.display().to_string()), version.unwrap_or(1)),
    }
}

fn manifest(folder: &Path) -> Option<ExpertManifest> {
    // Unreadable counts as absent: opening the package has told about it.
    ExpertManifest::read(folder).ok().flatten()
}
