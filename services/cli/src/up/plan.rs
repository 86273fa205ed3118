//! What is to be started: which programs, with which arguments, at which addresses. Nothing runs yet, so whatever is
//! wrong is said before there is anything to clean up.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use nanogrid_settings::{ExpertName, Grid, HfConfig};

use crate::{
    error::Error,
    up::{
        Up,
        board::{Phase, ProcessState, State},
        catalog::{self, Package},
        environment::{self, Kind},
        ports::Ports,
        probe::Target,
        process::Spec,
        run_folder::RunFolder,
    },
};

pub(crate) struct Plan {
    pub(crate) state: State,
    /// As in the state: the router first.
    pub(crate) specs: Vec<Spec>,
    /// Packages that cannot be started, and why.
    pub(crate) problems: Vec<String>,
}

impl Plan {
    pub(crate) fn make(up: &Up, addr: &str, run: &RunFolder) -> Result<Self, Error> {
        let addr = resolve(addr).ok_or_else(|| Error::Address { addr: addr.to_owned(), flag: "--addr" })?;
        let programs = Programs::find()?;
        let (packages, problems) = catalog::read(&up.catalog)?;
        let mut ports = Ports::new();
        let addr = ports.claim(addr, "--addr")?;
        let ops = ports.claim(up.ops, "--ops")?;

        let groups: Vec<&[Package]> =
            if up.one_process { vec![&packages] } else { packages.chunks(1).collect() };
        let mut specs = vec![router(up, &programs, run, &packages, (addr, ops))];
        let mut experts = Vec::new();
        for group in groups {
            let address = ports.free()?;
            experts.extend(group.iter().map(|package| package.grid_entry(address)));
            specs.push(expert(up, &programs, run, group, (address, ports.free()?)));
        }
        // The digest is of the text that is written here, and nobody reads it from this value.
        run.write("grid.toml", &Grid { experts, sha256: String::new() }.to_toml())?;

        let processes = specs.iter().map(process).collect();
        let state = State { pid: std::process::id(), addr, ops, settled: false, processes };
        Ok(Self { state, specs, problems })
    }
}

/// `localhost` means both loopbacks on most machines, and the older one is where everybody looks first.
fn resolve(addr: &str) -> Option<SocketAddr> {
    let mut found: Vec<SocketAddr> = addr.to_socket_addrs().ok()?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied()
}

/// The programs beside this one.
struct Programs {
    router: PathBuf,
    expert: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, Error> {
        Ok(Self { router: program("nanogrid-router")?, expert: program(EXPERT)? })
    }
}

/// The host of experts.
pub(crate) const EXPERT: &str = "nanogrid-expert";

/// A program beside this one.
pub(crate) fn program(name: &str) -> Result<PathBuf, Error> {
    let this = std::env::current_exe().map_err(Error::system("find this program"))?;
    let path = this.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(Error::Program { path, beside: this }) }
}

fn router(
    up: &Up,
    programs: &Programs,
    run: &RunFolder,
    packages: &[Package],
    (addr, ops): (SocketAddr, SocketAddr),
) -> Spec {
    let mut arguments = listen(addr, ops, up.router_config.as_deref());
    arguments.extend(["--grid".to_owned(), text(&run.grid_file())]);
    arguments.extend(["--classifier".to_owned(), text(&up.classifier)]);
    let mut environment = vec![(environment::ROLLOUTS, text(&run.rollouts()))];
    if std::env::var_os(environment::OPTIONAL).is_none() {
        environment.push((environment::OPTIONAL, absent(&up.classifier, packages).join(",")));
    }
    Spec {
        name: "router".to_owned(),
        kind: Kind::Router,
        program: programs.router.clone(),
        arguments,
        environment,
        address: addr,
        log: run.log("router"),
        targets: vec![Target::Router],
    }
}

/// What the classifier knows and the catalog lacks. Whoever starts a part of the experts wants it to choose among those; the router
/// would take them for forgotten. A package that cannot be read is the router's to complain of.
fn absent(classifier: &Path, packages: &[Package]) -> Vec<String> {
    let labels = HfConfig::read(classifier).ok().flatten().map(|config| config.labels).unwrap_or_default();
    let is_there = |label: &String| packages.iter().any(|package| package.name == label.as_str());
    // A label that is no name, as for nobody may be, is no expert.
    labels.into_iter().filter(|label| label.parse::<ExpertName>().is_ok() && !is_there(label)).collect()
}

fn expert(
    up: &Up,
    programs: &Programs,
    run: &RunFolder,
    packages: &[Package],
    (address, ops): (SocketAddr, SocketAddr),
) -> Spec {
    let name = match packages {
        [package] => package.name.to_string(),
        _ => "experts".to_owned(),
    };
    let mut arguments = listen(address, ops, up.expert_config.as_deref());
    arguments.extend(packages.iter().map(|package| text(&package.folder)));
    let targets = packages.iter().map(|package| Target::Expert {
        name: package.name.clone(),
        version: package.version,
        task: package.task,
    });
    Spec {
        // `router` is the name of another process, and may be the name of an expert.
        log: run.log(&format!("expert-{name}")),
        name,
        kind: Kind::Expert,
        program: programs.expert.clone(),
        arguments,
        environment: Vec::new(),
        address,
        targets: targets.collect(),
    }
}

fn listen(address: SocketAddr, ops: SocketAddr, config: Option<&Path>) -> Vec<String> {
    let mut arguments = vec!["--listen".to_owned(), address.to_string(), "--ops".to_owned(), ops.to_string()];
    if let Some(config) = config {
        arguments.extend(["--config".to_owned(), text(config)]);
    }
    arguments
}

fn process(spec: &Spec) -> ProcessState {
    ProcessState {
        name: spec.name.clone(),
        address: spec.address,
        log: spec.log.clone(),
        phase: Phase::Queued,
        pid: None,
        restarts: 0,
        failed_starts: 0,
        last_end: None,
        memory: 0,
        serves: spec.targets.iter().map(Target::served).collect(),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
