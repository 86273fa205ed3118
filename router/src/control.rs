//! `nanogrid.v1.Control`: what the router is doing, for operators. On the ops port only.

use std::{sync::Arc, time::SystemTime};

use nanogrid_proto::v1::{
    ListFaultsRequest, ListFaultsResponse, ReloadRequest, ReloadResponse, SetFaultsRequest, SetFaultsResponse,
    StatusRequest, StatusResponse, control_server::Control,
};
use tonic::{Request, Response, Status};

use crate::{Router, discovery::Discovery};

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
            requests_in_flight: self.router.requests_in_flight(),
            requests_limit: 0,
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
        _request: Request<SetFaultsRequest>,
    ) -> Result<Response<SetFaultsResponse>, Status> {
        Err(Status::unimplemented("faults"))
    }

    async fn list_faults(
        &self,
        _request: Request<ListFaultsRequest>,
    ) -> Result<Response<ListFaultsResponse>, Status> {
        Err(Status::unimplemented("faults"))
    }
}
