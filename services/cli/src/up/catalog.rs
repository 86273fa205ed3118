//! The experts of a catalog: every folder with an `expert.toml`.

use std::path::{Path, PathBuf};

use nanogrid_settings::{
    BasisPoints, EndpointSpec, Expert, ExpertManifest, ExpertName, Policy, Task, Version,
};

use crate::error::Error;

/// An expert that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: ExpertName,
    pub(crate) task: Task,
    pub(crate) title: String,
    pub(crate) version: u32,
    /// The expert's folder; its default version is served.
    pub(crate) folder: PathBuf,
}

/// Reads `catalog`. A package that cannot be read costs its own expert, not the grid: it is in the second list, as a
/// sentence.
pub(crate) fn read(catalog: &Path) -> Result<(Vec<Package>, Vec<String>), Error> {
    let (mut packages, mut problems) = (Vec::new(), Vec::new());
    for folder in folders(catalog)? {
        match ExpertManifest::read(&folder) {
            Ok(Some(manifest)) => packages.push(Package {
                name: manifest.name,
                task: manifest.task,
                title: manifest.title,
                version: manifest.default_version,
                folder,
            }),
            // Not an expert: notes, data, whatever else lies in the catalog.
            Ok(None) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }
    if packages.is_empty() {
        let problem = if problems.is_empty() {
            "no folder with an expert.toml".to_owned()
        } else {
            problems.join("; ")
        };
        return Err(Error::Catalog { path: catalog.to_owned(), problem });
    }
    Ok((packages, problems))
}

/// The folders in `catalog`, sorted by name.
pub(crate) fn folders(catalog: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable =
        |source: std::io::Error| Error::Catalog { path: catalog.to_owned(), problem: source.to_string() };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(catalog).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

impl Package {
    /// The expert's part of the grid file.
    pub(crate) fn grid_entry(&self, address: std::net::SocketAddr) -> Expert {
        Expert {
            name: self.name.clone(),
            task: self.task,
            title: self.title.clone(),
            timeout: None,
            policy: Policy::default(),
            versions: vec![Version {
                version: self.version,
                weight: BasisPoints::ALL,
                label: None,
                model_sha256: None,
                endpoints: vec![EndpointSpec::Static { host_port: address.to_string() }],
            }],
        }
    }
}
