//! What a scripted expert serves.

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
};

use nanogrid_proto::{
    inference::{grpc_inference_service_server::*, *},
    tensor,
    v1::{
        GetInfoRequest, GetInfoResponse,
        expert_info_server::{ExpertInfo, ExpertInfoServer},
    },
};
use nanogrid_serving::Services;
use tokio_stream::{Stream, StreamExt, wrappers::WatchStream};
use tonic::{Request, Response, Status, Streaming, transport::server::TcpIncoming};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use super::{Behaviour, Reply, Script, Seen, Shared, lock};

const MAX_MESSAGE: usize = 64 << 20;

pub(super) async fn serve(listener: TcpListener, script: Script) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("inside a runtime");
    let profile = lock(&script.0.profile).clone();
    let counted = script.0.clone();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).map(move |connection| {
        counted.n_connections.fetch_add(1, Ordering::SeqCst);
        connection
    });
    let service = Service(script.0);
    let served = tonic::transport::Server::builder()
        .add_service(inference(service.clone()))
        .add_optional_service(profile.has_info.then(|| ExpertInfoServer::new(service.clone())))
        .add_optional_service(profile.has_health.then(|| HealthServer::new(service)))
        .serve_with_incoming(incoming)
        .await;
    served.expect("a scripted expert serves until it is killed");
}

pub(super) fn services(script: &Script) -> Services {
    let service = Service(script.0.clone());
    let services = Services::new().with(inference(service.clone()));
    let has_info = lock(&script.0.profile).has_info;
    if has_info { services.with(ExpertInfoServer::new(service)) } else { services }
}

fn inference(service: Service) -> GrpcInferenceServiceServer<Service> {
    GrpcInferenceServiceServer::new(service).max_decoding_message_size(MAX_MESSAGE)
}

#[derive(Clone)]
struct Service(Arc<Shared>);

/// Notices that its call was dropped.
struct Watched<'a> {
    shared: &'a Shared,
    is_answered: bool,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let counter = if self.is_answered { &self.shared.n_answered } else { &self.shared.n_dropped };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

impl Service {
    fn serves(&self, name: &str, version: &str) -> bool {
        let profile = lock(&self.0.profile);
        let is_it = |package: &nanogrid_proto::v1::PackageInfo| {
            package.name == name && (version.is_empty() || package.version == version)
        };
        profile.packages.iter().any(is_it)
    }

    async fn answer(&self, message: &ModelInferRequest) -> Result<ModelInferResponse, Status> {
        let Behaviour { delay, reply } = lock(&self.0.behaviour).clone();
        tokio::time::sleep(delay).await;
        let mut answer = match reply {
            Reply::Hang => std::future::pending().await,
            Reply::Status(status) => return Err(status),
            Reply::Message(message) => return Ok(*message),
            Reply::Tensors(outputs) => {
                let mut answer = ModelInferResponse::default();
                tensor::set_outputs(&mut answer, outputs);
                answer
            }
        };
        answer.model_name.clone_from(&message.model_name);
        answer.model_version.clone_from(&message.model_version);
        answer.id.clone_from(&message.id);
        Ok(answer)
    }
}

#[tonic::async_trait]
impl ExpertInfo for Service {
    async fn get_info(&self, _request: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        let packages = lock(&self.0.profile).packages.clone();
        let (pid, memory) = (std::process::id(), 1 << 20);
        Ok(Response::new(GetInfoResponse { pid, memory, packages, ..GetInfoResponse::default() }))
    }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(health(*self.0.serving.borrow())))
    }

    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let changes = WatchStream::new(self.0.serving.subscribe());
        Ok(Response::new(Box::pin(changes.map(|serving| Ok(health(serving))))))
    }
}

fn health(serving: bool) -> HealthCheckResponse {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        lock(&self.0.seen).push(Seen { message: message.clone(), metadata });
        let mut watched = Watched { shared: &self.0, is_answered: false };
        let answer = self.answer(&message).await;
        watched.is_answered = true;
        answer.map(Response::new)
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        if !self.serves(&name, &version) {
            return Err(Status::not_found(format!("no such model: {name}")));
        }
        Ok(Response::new(ModelReadyResponse { ready: *self.0.serving.borrow() }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        if !self.serves(&name, &version) {
            return Err(Status::not_found(format!("no such model: {name}")));
        }
        let platform = "scripted".to_owned();
        Ok(Response::new(ModelMetadataResponse {
            name,
            versions: vec![version],
            platform,
            ..Default::default()
        }))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let config =
            ModelConfig { name: request.into_inner().name, max_batch_size: 32, ..Default::default() };
        Ok(Response::new(ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let n_calls = lock(&self.0.seen).len() as u64;
        let statistics = ModelStatistics {
            name,
            version,
            inference_count: n_calls,
            execution_count: n_calls,
            ..Default::default()
        };
        Ok(Response::new(ModelStatisticsResponse { model_stats: vec![statistics] }))
    }

    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: *self.0.serving.borrow() }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse { name: "scripted".to_owned(), ..Default::default() }))
    }

    type ModelStreamInferStream = tokio_stream::Empty<Result<ModelStreamInferResponse, Status>>;

    async fn model_stream_infer(
        &self,
        _: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        Err(not_scripted())
    }

    async fn repository_index(
        &self,
        _: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        Err(not_scripted())
    }

    async fn repository_model_load(
        &self,
        _: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        Err(not_scripted())
    }

    async fn repository_model_unload(
        &self,
        _: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        Err(not_scripted())
    }

    async fn system_shared_memory_status(
        &self,
        _: Request<SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<SystemSharedMemoryStatusResponse>, Status> {
        Err(not_scripted())
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<SystemSharedMemoryRegisterResponse>, Status> {
        Err(not_scripted())
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<SystemSharedMemoryUnregisterResponse>, Status> {
        Err(not_scripted())
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<CudaSharedMemoryStatusResponse>, Status> {
        Err(not_scripted())
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<CudaSharedMemoryRegisterResponse>, Status> {
        Err(not_scripted())
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<CudaSharedMemoryUnregisterResponse>, Status> {
        Err(not_scripted())
    }

    async fn trace_setting(
        &self,
        _: Request<TraceSettingRequest>,
    ) -> Result<Response<TraceSettingResponse>, Status> {
        Err(not_scripted())
    }

    async fn log_settings(
        &self,
        _: Request<LogSettingsRequest>,
    ) -> Result<Response<LogSettingsResponse>, Status> {
        Err(not_scripted())
    }
}

fn not_scripted() -> Status {
    Status::unimplemented("a scripted expert does not do this")
}
