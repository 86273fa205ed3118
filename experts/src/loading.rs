//! From folders to experts that answer. A broken package is left out, with its reason where people and tools look for it
//! (log, metric, health, RepositoryIndex); only when none is left is there nothing to serve.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nanogrid_onnx::Package;
use nanogrid_serving::Health;
use nanogrid_settings::{ExpertManifest, InferenceSettings, LimitSettings};
use nanogrid_telemetry::metrics::ExpertMetrics;

use crate::{
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
}

impl Loading {
    /// Opens all packages, so that every name is known soon, then loads them one after another: what the process grows
    /// by meanwhile is then the memory of the one being loaded.
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
                return Err(self.broken(&name, version, folder, &error.into()));
            }
        };
        let name = package.name.as_str();
        let versions = self.repository.snapshot();
        if versions.experts.get(name).is_some_and(|versions| versions.states.contains_key(&package.version)) {
            let error = LoadError::Twice { name: name.to_owned(), version: package.version };
            return Err(self.refused(name, package.version, folder, &error));
        }
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
