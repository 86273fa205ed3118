//! A small grid of its own: a router and a few experts of the catalog, as real processes on free ports.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanogrid_proto::inference::ModelReadyRequest;
use nanogrid_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use nanogrid_proto::v1::ListExpertsRequest;
use nanogrid_proto::v1::grid_client::GridClient;
use serde::Serialize;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::front::Front;
use super::metrics::Ops;
use super::process::{Addresses, Process, Program};
use crate::Error;
use crate::cases::Manifest;

/// Far longer than a start takes, unoptimised and beside others.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where the parts of a grid are found.
#[derive(Clone, Debug)]
pub struct Place {
    /// Folder of `nanogrid-router` and `nanogrid-expert`.
    pub programs: PathBuf,
    /// The experts' packages.
    pub catalog: PathBuf,
    /// The router's own package.
    pub classifier: PathBuf,
    /// Keeps grid file and logs, in a folder for each grid; `None` = they go when the run is over.
    pub keep: Option<PathBuf>,
}

/// What a grid consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) experts: &'a [Part<'a>],
    /// Put a [`Front`] before each replica.
    pub(crate) fronts: bool,
}

/// One version of an expert.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    name: &'a str,
    /// `None` = the default one of its package.
    version: Option<u32>,
    n_replicas: usize,
}

/// Ended when dropped.
#[derive(Debug)]
pub(crate) struct Grid {
    router: Process,
    /// Where the router answers.
    pub(crate) address: SocketAddr,
    /// What the router counts, and where it is steered.
    pub(crate) ops: Ops,
    /// In the order of the layout, then in the order in which they were added.
    pub(crate) replicas: Vec<Replica>,
    ground: Ground,
}

/// What processes are started from, and told by.
#[derive(Debug)]
struct Ground {
    place: Place,
    fronts: bool,
    addresses: Addresses,
    folder: Folder,
    file: GridFile,
}

/// One process of an expert.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) process: Process,
    /// Where it listens itself.
    pub(crate) own_address: SocketAddr,
    /// Where the router asks for it: its own address, or that of its front.
    pub(crate) address: SocketAddr,
    /// What it counts.
    pub(crate) ops: Ops,
    pub(crate) front: Option<Front>,
    expert: String,
}

/// Grid file and logs.
#[derive(Debug)]
enum Folder {
    Gone(TempDir),
    Kept(PathBuf),
}

/// The part of a grid file that is needed here.
#[derive(Debug, Default, Serialize)]
struct GridFile {
    expert: Vec<Expert>,
}

#[derive(Debug, Serialize)]
struct Expert {
    name: String,
    task: String,
    version: Vec<Version>,
}

#[derive(Debug, Serialize)]
struct Version {
    version: u32,
    weight: u32,
    endpoints: Vec<String>,
}

impl<'a> Part<'a> {
    pub(crate) fn replicas(name: &'a str, n_replicas: usize) -> Self {
        Self { name, version: None, n_replicas }
    }

    pub(crate) fn version(name: &'a str, version: u32) -> Self {
        Self { name, version: Some(version), n_replicas: 1 }
    }
}

impl Grid {
    /// Starts everything and waits until the router has reached every replica.
    pub(crate) async fn start(place: &Place, layout: Layout<'_>) -> Result<Self, Error> {
        let mut ground = Ground {
            place: place.clone(),
            fronts: layout.fronts,
            addresses: Addresses::new(),
            folder: Folder::new(place.keep.as_deref())?,
            file: GridFile::default(),
        };
        let mut replicas = Vec::new();
        for part in layout.experts {
            replicas.extend(ground.launch(*part, 100).await?);
        }
        let grid_file = ground.write()?;
        let (address, ops) = (ground.addresses.free()?, ground.addresses.free()?);
        let mut arguments = listen(address, ops);
        arguments.extend(["--grid".to_owned(), absolute(&grid_file)]);
        arguments.extend(["--classifier".to_owned(), absolute(&place.classifier)]);
        let log = ground.folder.path().join("router.log");
        let mut router = place.program("nanogrid-router", arguments, log)?;
        // Or it would be in the folder that this is run in, for the next grid to find.
        router.settings.push(("NANOGRID__ROLLOUTS__STATE", ground.folder.path().join("rollouts.json")));
        let router = router.start()?;
        let mut grid = Self { router, address, ops: Ops::at(ops), replicas, ground };
        for idx in 0..grid.replicas.len() {
            grid.until_in_use(idx).await?;
        }
        Ok(grid)
    }

    /// Starts a version beside the others of its expert, without any traffic yet, and waits until the router has reached
    /// it. Says which replica it is.
    pub(crate) async fn add(&mut self, part: Part<'_>) -> Result<usize, Error> {
        let idx = self.replicas.len();
        self.replicas.extend(self.ground.launch(part, 0).await?);
        self.ground.write()?;
        self.until_in_use(idx).await?;
        Ok(idx)
    }

    /// These versions of `expert`, each with its weight, and no others.
    pub(crate) fn set_weights(&mut self, expert: &str, weights: &[(u32, u32)]) -> Result<(), Error> {
        let weight = |version: u32| weights.iter().find(|(number, _)| *number == version);
        for expert in self.ground.file.expert.iter_mut().filter(|entry| entry.name == expert) {
            expert.version.retain(|version| weight(version.version).is_some());
            for version in &mut expert.version {
                version.weight = weight(version.version).map_or(0, |(_, weight)| *weight);
            }
        }
        self.ground.write().map(drop)
    }

    /// Waits until the router can pick replica `idx`.
    pub(crate) async fn until_in_use(&mut self, idx: usize) -> Result<(), Error> {
        let mut router = GridClient::new(lazy(self.address));
        let address = self.replicas[idx].address.to_string();
        let start = Instant::now();
        loop {
            if let Ok(experts) = router.list_experts(ListExpertsRequest {}).await {
                let endpoints = experts.into_inner().experts.into_iter().flat_map(|expert| expert.endpoints);
                if endpoints.into_iter().any(|endpoint| endpoint.address == address && endpoint.ready) {
                    return Ok(());
                }
            }
            self.router.is_alive()?;
            self.replicas[idx].process.is_alive()?;
            wait_a_little(start, || format!("{address} is in use by the router")).await?;
        }
    }

    /// Waits until replica `idx` itself can answer.
    pub(crate) async fn until_answering(&mut self, idx: usize) -> Result<(), Error> {
        let address = self.replicas[idx].own_address;
        let start = Instant::now();
        loop {
            let name = self.replicas[idx].expert.clone();
            // A new connection each time: one that failed waits before it tries again.
            let mut expert = GrpcInferenceServiceClient::new(lazy(address));
            let asked = expert.model_ready(ModelReadyRequest { name, version: String::new() }).await;
            if asked.is_ok_and(|answer| answer.into_inner().ready) {
                return Ok(());
            }
            self.replicas[idx].process.is_alive()?;
            wait_a_little(start, || format!("{address} is ready")).await?;
        }
    }

    /// Resident bytes of the router and of each replica.
    pub(crate) fn memory(&self) -> Vec<u64> {
        let experts = self.replicas.iter().map(|replica| replica.process.memory());
        std::iter::once(self.router.memory()).chain(experts).collect()
    }
}

impl Ground {
    /// Starts the replicas of a version, and notes them for the grid file.
    async fn launch(&mut self, part: Part<'_>, weight: u32) -> Result<Vec<Replica>, Error> {
        let package = self.place.catalog.join(part.name);
        let Manifest { name, task, default_version } = Manifest::read(&package.join("expert.toml"))?;
        let version = part.version.unwrap_or(default_version);
        let package = package.join(version.to_string());
        let (mut endpoints, mut replicas) = (Vec::new(), Vec::new());
        for idx in 0..part.n_replicas {
            let own_address = self.addresses.free()?;
            let address = if self.fronts { self.addresses.free()? } else { own_address };
            let front = if self.fronts { Some(Front::start(address, own_address).await?) } else { None };
            let ops = self.addresses.free()?;
            let arguments = [listen(own_address, ops), vec![absolute(&package)]].concat();
            let log = self.folder.path().join(format!("{name}-{version}-{idx}.log"));
            let process = self.place.program("nanogrid-expert", arguments, log)?.start()?;
            endpoints.push(format!("static://{address}"));
            let (ops, expert) = (Ops::at(ops), name.clone());
            replicas.push(Replica { process, own_address, address, ops, front, expert });
        }
        let version = Version { version, weight, endpoints };
        match self.file.expert.iter_mut().find(|expert| expert.name == name) {
            Some(expert) => expert.version.push(version),
            None => self.file.expert.push(Expert { name, task, version: vec![version] }),
        }
        Ok(replicas)
    }

    /// In one step: the router must never read half a file.
    fn write(&self) -> Result<PathBuf, Error> {
        let path = self.folder.path().join("grid.toml");
        let next = path.with_extension("next");
        let text = toml::to_string(&self.file).expect("plain data");
        fs::write(&next, text).map_err(unwritable(&next))?;
        fs::rename(&next, &path).map_err(unwritable(&path))?;
        Ok(path)
    }
}

impl Place {
    /// The programs beside this one, and the packages of the project that this is run in.
    pub fn beside(program: &Path) -> Self {
        Self {
            programs: program.parent().unwrap_or(Path::new(".")).to_owned(),
            catalog: "experts/catalog".into(),
            classifier: "router/model/4".into(),
            keep: None,
        }
    }

    fn program(&self, name: &str, arguments: Vec<String>, log: PathBuf) -> Result<Program, Error> {
        let path = self.programs.join(name);
        let path = std::path::absolute(&path).unwrap_or(path);
        if !path.is_file() {
            let beside = std::env::current_exe().unwrap_or_default();
            return Err(Error::NoProgram { path, beside });
        }
        Ok(Program { path, arguments, settings: Vec::new(), log })
    }
}

impl Folder {
    fn new(keep: Option<&Path>) -> Result<Self, Error> {
        match keep {
            None => {
                let folder = tempfile::Builder::new().prefix("nanogrid-scenario-").tempdir();
                folder.map(Self::Gone).map_err(unwritable(&std::env::temp_dir()))
            }
            Some(root) => {
                let numbers = (1..).map(|number| root.join(format!("grid-{number}")));
                let path = numbers.into_iter().find(|path| !path.exists()).expect("numbers do not end");
                fs::create_dir_all(&path).map_err(unwritable(&path))?;
                Ok(Self::Kept(std::path::absolute(&path).unwrap_or(path)))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Gone(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

fn listen(address: SocketAddr, ops: SocketAddr) -> Vec<String> {
    vec!["--listen".to_owned(), address.to_string(), "--ops".to_owned(), ops.to_string()]
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or(path.to_owned()).display().to_string()
}

pub(crate) fn lazy(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("an address is a host and a port")
        .connect_lazy()
}

fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Unwritable { path, source }
}

async fn wait_a_little(start: Instant, what: impl Fn() -> String) -> Result<(), Error> {
    if start.elapsed() > START_LIMIT {
        return Err(Error::TooLong { what: what(), limit: START_LIMIT });
    }
    tokio::time::sleep(LOOK_EVERY).await;
    Ok(())
}
