//! What the process says of itself beyond the protocol: the router asks once per connection and refuses an endpoint
//! that is not what the grid file says; `nanogrid up` shows it in a table.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use nanogrid_proto::v1::{GetInfoRequest, GetInfoResponse, PackageInfo, expert_info_server::ExpertInfo};
use tonic::{Request, Response, Status};

use crate::{
    memory,
    repository::{Repository, State},
};

pub(crate) struct Info {
    repository: Arc<Repository>,
    started: SystemTime,
    start_up: Arc<OnceLock<Duration>>,
}

impl Info {
    /// `start_up` is set once the process is ready.
    pub(crate) fn new(repository: Arc<Repository>, start_up: Arc<OnceLock<Duration>>) -> Self {
        Self { repository, started: SystemTime::now(), start_up }
    }
}

#[tonic::async_trait]
impl ExpertInfo for Info {
    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        let snapshot = self.repository.snapshot();
        let packages = snapshot.experts.iter().flat_map(|(name, versions)| {
            versions.states.iter().map(|(version, state)| package(name, *version, state))
        });
        let start_up = self.start_up.get().copied().unwrap_or_default();
        Ok(Response::new(GetInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            memory: memory::resident(),
            started: Some(self.started.into()),
            start_up_us: u64::try_from(start_up.as_micros()).unwrap_or(u64::MAX),
            packages: packages.collect(),
        }))
    }
}

fn package(name: &str, version: u32, state: &State) -> PackageInfo {
    let known = PackageInfo { name: name.to_owned(), version: version.to_string(), ..PackageInfo::default() };
    match state {
        State::Loading => PackageInfo { reason: "loading".to_owned(), ..known },
        State::Unavailable(reason) => PackageInfo { reason: reason.clone(), ..known },
        State::Ready(expert) => PackageInfo {
            task: expert.package.task.to_string(),
            title: expert.package.title.clone(),
            model_sha256: expert.package.model_sha256.clone(),
            labels_sha256: expert.package.labels_sha256.clone(),
            n_labels: u32::try_from(expert.package.labels.len()).unwrap_or(u32::MAX),
            ready: true,
            ..known
        },
    }
}
