//! The Open Inference Protocol over the whole grid: the name of a model is the name of an expert, and `auto` asks the
//! classifier first. Requests and answers pass as they are.

mod about;
mod infer;
mod statistics;

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use nanogrid_proto::inference::{grpc_inference_service_server::GrpcInferenceService, *};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, Span, info_span};

use super::{STREAM_WIDTH, wire::Envelope};
use crate::Router;

/// The service.
#[derive(Clone, Debug)]
pub struct OipService {
    router: Arc<Router>,
}

/// The model name that asks the classifier.
const AUTO: &str = "auto";

impl OipService {
    /// Answers for `router`.
    pub fn new(router: Arc<Router>) -> Self {
        Self { router }
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for OipService {
    async fn server_live(
        &self,
        _request: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _request: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        // A router with a grid answers, be it to say which expert is missing.
        Ok(Response::new(ServerReadyResponse { ready: true }))
    }

    async fn server_metadata(
        &self,
        _request: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(about::server()))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ready = self.router.model_ready(&request.into_inner())?;
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        Ok(Response::new(self.router.model_metadata(request.into_inner()).await?))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        Ok(Response::new(self.router.model_config(request.into_inner()).await?))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let envelope = Envelope::read(&metadata, &extensions)?;
        Ok(self.router.model_infer(message, envelope).await?)
    }

    type ModelStreamInferStream =
        Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let (metadata, extensions, messages) = request.into_parts();
        let envelope = Envelope::read(&metadata, &extensions)?;
        // Triton's way to ask for a status, which ends the stream, where an error message would not.
        let wants_status = metadata.get("triton_grpc_error").is_some_and(|value| value == "true");
        let router = self.router.clone();
        let parent = Span::current();
        let answer = move |message: Result<ModelInferRequest, Status>| {
            let (router, envelope) = (router.clone(), envelope.clone());
            async move {
                let id = message.as_ref().map_or_else(|_| String::new(), |message| message.id.clone());
                match router.model_infer(message?, envelope).await.map_err(Status::from) {
                    Ok(response) => Ok(infer::streamed(response.into_inner())),
                    Err(status) if wants_status => Err(status),
                    Err(status) => Ok(infer::streamed_error(id, &status)),
                }
            }
            .instrument(info_span!(parent: &parent, "infer"))
        };
        // In the order of the requests: clients of a model that is not decoupled expect it.
        Ok(Response::new(messages.map(answer).buffered(STREAM_WIDTH).boxed()))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        Ok(Response::new(self.router.model_statistics(request.into_inner()).await?))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        Ok(Response::new(self.router.repository_index(request.get_ref().ready)))
    }

    async fn repository_model_load(
        &self,
        _request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        Err(elsewhere("loading of models", "the grid file"))
    }

    async fn repository_model_unload(
        &self,
        _request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        Err(elsewhere("unloading of models", "the grid file"))
    }

    async fn system_shared_memory_status(
        &self,
        _request: Request<SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<SystemSharedMemoryStatusResponse>, Status> {
        Err(no_shared_memory())
    }

    async fn system_shared_memory_register(
        &self,
        _request: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<SystemSharedMemoryRegisterResponse>, Status> {
        Err(no_shared_memory())
    }

    async fn system_shared_memory_unregister(
        &self,
        _request: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<SystemSharedMemoryUnregisterResponse>, Status> {
        Err(no_shared_memory())
    }

    async fn cuda_shared_memory_status(
        &self,
        _request: Request<CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<CudaSharedMemoryStatusResponse>, Status> {
        Err(no_shared_memory())
    }

    async fn cuda_shared_memory_register(
        &self,
        _request: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<CudaSharedMemoryRegisterResponse>, Status> {
        Err(no_shared_memory())
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _request: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<CudaSharedMemoryUnregisterResponse>, Status> {
        Err(no_shared_memory())
    }

    async fn trace_setting(
        &self,
        _request: Request<TraceSettingRequest>,
    ) -> Result<Response<TraceSettingResponse>, Status> {
        Err(elsewhere("tracing", "the router's `[telemetry]` settings"))
    }

    async fn log_settings(
        &self,
        _request: Request<LogSettingsRequest>,
    ) -> Result<Response<LogSettingsResponse>, Status> {
        Err(elsewhere("logging", "the router's `[telemetry]` settings"))
    }
}

fn elsewhere(what: &str, place: &str) -> Status {
    Status::unimplemented(format!("{what} is decided by {place}, not over this protocol"))
}

fn no_shared_memory() -> Status {
    Status::unimplemented(
        "the experts behind a router share no memory with its clients: send tensors in the message",
    )
}
