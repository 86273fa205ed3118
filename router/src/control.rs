//! `nanogrid.v1.Control`: what the router is doing, for operators. On the ops port only.

mod faults;
mod rollouts;

use std::{sync::Arc, time::SystemTime};

use nanogrid_proto::v1::{
    ChangeRolloutRequest, ListDisagreementsRequest, ListDisagreementsResponse, ListFaultsRequest,
    ListFaultsResponse, ListRolloutsRequest, ListRolloutsResponse, ReloadRequest, ReloadResponse, Rollout,
    RolloutHistoryRequest, RolloutHistoryResponse, SetFaultsRequest, SetFaultsResponse, StartRolloutRequest,
    StatusRequest, StatusResponse, control_server::Control,
};
use nanogrid_settings::ExpertName;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{Router, discovery::Discovery, error::Error, fault::NotAllowed};

/// The service.
#[derive(Debug)]
pub struct ControlService {
    router: Arc<Router>,
    discovery: Arc<Discovery>,
    started: SystemTime,
}

impl ControlService {
    /// Speaks of `router`, which has just started.
    pub fn new(router: Arc<Router>, discovery: Arc<Discovery>) -> Self {
        Self { router, discovery, started: SystemTime::now() }
    }
}

#[tonic::async_trait]
impl Control for ControlService {
    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let grid = self.router.catalog.now();
        let classifier = &self.router.classifier;
        Ok(Response::new(StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Some(self.started.into()),
            grid_source: self.discovery.source(),
            grid_generation: grid.generation,
            grid_sha256: grid.sha256.clone(),
            grid_refused: self.discovery.refused(),
            classifier_version: classifier.version().map_or_else(String::new, |version| version.to_string()),
            classifier_problem: classifier.problem(),
            requests_in_flight: self.router.admission.in_flight() as u64,
            requests_limit: self.router.admission.limit() as u64,
            faults: u32::try_from(self.router.faults.list().len()).unwrap_or(u32::MAX),
        }))
    }

    async fn reload(&self, _request: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let changed =
            self.discovery.reload().map_err(|error| Status::failed_precondition(error.to_string()))?;
        let grid_generation = self.router.catalog.now().generation;
        Ok(Response::new(ReloadResponse { grid_generation, changed }))
    }

    async fn set_faults(
        &self,
        request: Request<SetFaultsRequest>,
    ) -> Result<Response<SetFaultsResponse>, Status> {
        let faults = &self.router.faults;
        // Before the message is looked at: where there are none, none is wrong.
        let not_allowed = |error: NotAllowed| Status::permission_denied(error.to_string());
        if !faults.allowed() {
            return Err(not_allowed(NotAllowed));
        }
        let new = faults::inward(request.into_inner().faults, &self.router.catalog.now(), Instant::now())?;
        faults.set(new).map_err(not_allowed)?;
        Ok(Response::new(SetFaultsResponse {}))
    }

    async fn list_faults(
        &self,
        _request: Request<ListFaultsRequest>,
    ) -> Result<Response<ListFaultsResponse>, Status> {
        let faults = &self.router.faults;
        let now = Instant::now();
        Ok(Response::new(ListFaultsResponse {
            faults: faults.list().into_iter().map(|fault| faults::outward(fault, now)).collect(),
            allowed: faults.allowed(),
        }))
    }

    async fn start_rollout(
        &self,
        request: Request<StartRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let (expert, plan) = rollouts::plan(request.into_inner(), &self.router.catalog.now())?;
        let kept = self.router.rollouts.start(&expert, plan).await?;
        Ok(Response::new(rollouts::rollout(&expert, &kept)))
    }

    async fn list_rollouts(
        &self,
        request: Request<ListRolloutsRequest>,
    ) -> Result<Response<ListRolloutsResponse>, Status> {
        let wanted = self.wanted(request.into_inner().expert)?;
        let state = self.router.rollouts.all();
        let is_wanted = |expert: &ExpertName| wanted.as_ref().is_none_or(|wanted| wanted == expert);
        let rollouts = state.rollouts.iter().filter(|(expert, _)| is_wanted(expert));
        let rollouts = rollouts.map(|(expert, kept)| rollouts::rollout(expert, kept)).collect();
        Ok(Response::new(ListRolloutsResponse { rollouts }))
    }

    async fn change_rollout(
        &self,
        request: Request<ChangeRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let request = request.into_inner();
        let change = rollouts::change(request.change())?;
        let expert = self.expert(&request.expert)?;
        let kept = self.router.rollouts.change(&expert, change).await?;
        Ok(Response::new(rollouts::rollout(&expert, &kept)))
    }

    async fn rollout_history(
        &self,
        request: Request<RolloutHistoryRequest>,
    ) -> Result<Response<RolloutHistoryResponse>, Status> {
        let RolloutHistoryRequest { expert, limit } = request.into_inner();
        let expert = self.expert(&expert)?;
        let state = self.router.rollouts.all();
        let entries = state.rollouts.get(&expert).into_iter().flat_map(|kept| kept.history.iter().rev());
        let decisions = entries.take(most(limit)).map(rollouts::decision).collect();
        Ok(Response::new(RolloutHistoryResponse { decisions }))
    }

    async fn list_disagreements(
        &self,
        request: Request<ListDisagreementsRequest>,
    ) -> Result<Response<ListDisagreementsResponse>, Status> {
        let ListDisagreementsRequest { expert, limit } = request.into_inner();
        let expert = self.expert(&expert)?;
        let disagreements = self.router.rollouts.disagreements(&expert, most(limit));
        let disagreements = disagreements.into_iter().map(rollouts::disagreement).collect();
        Ok(Response::new(ListDisagreementsResponse { disagreements }))
    }
}

impl ControlService {
    fn expert(&self, name: &str) -> Result<ExpertName, Error> {
        Ok(self.router.catalog.now().expert(name)?.name.clone())
    }

    /// Nobody in particular when the name is empty.
    fn wanted(&self, name: String) -> Result<Option<ExpertName>, Error> {
        if name.is_empty() { Ok(None) } else { self.expert(&name).map(Some) }
    }
}

/// 0 = no limit.
fn most(limit: u32) -> usize {
    if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) }
}
