//! `nanogrid.v1.Control`: what the router is doing, for operators. On the ops port only.

mod faults;

use std::{sync::Arc, time::SystemTime};

use nanogrid_proto::v1::{
    ChangeRolloutRequest, ListDisagreementsRequest, ListDisagreementsResponse, ListFaultsRequest,
    ListFaultsResponse, ListRolloutsRequest, ListRolloutsResponse, ReloadRequest, ReloadResponse, Rollout,
    RolloutHistoryRequest, RolloutHistoryResponse, SetFaultsRequest, SetFaultsResponse, StartRolloutRequest,
    StatusRequest, StatusResponse, control_server::Control,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{Router, discovery::Discovery, fault::NotAllowed};

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
            classifier_problem: classifier.problem().to_owned(),
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
        _request: Request<StartRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        Err(Status::unimplemented("rollouts"))
    }

    async fn list_rollouts(
        &self,
        _request: Request<ListRolloutsRequest>,
    ) -> Result<Response<ListRolloutsResponse>, Status> {
        Err(Status::unimplemented("rollouts"))
    }

    async fn change_rollout(
        &self,
        _request: Request<ChangeRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        Err(Status::unimplemented("rollouts"))
    }

    async fn rollout_history(
        &self,
        _request: Request<RolloutHistoryRequest>,
    ) -> Result<Response<RolloutHistoryResponse>, Status> {
        Err(Status::unimplemented("rollouts"))
    }

    async fn list_disagreements(
        &self,
        _request: Request<ListDisagreementsRequest>,
    ) -> Result<Response<ListDisagreementsResponse>, Status> {
        Err(Status::unimplemented("rollouts"))
    }
}
