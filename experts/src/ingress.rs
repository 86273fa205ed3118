//! The Open Inference Protocol, rpc by rpc. Nothing is decided here: each rpc calls what decides.

use std::sync::Arc;

use futures::stream::BoxStream;
use nanogrid_proto::inference::{
    CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse, CudaSharedMemoryStatusRequest,
    CudaSharedMemoryStatusResponse, CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse,
    LogSettingsRequest, LogSettingsResponse, ModelConfigRequest, ModelConfigResponse, ModelInferRequest,
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse, SystemSharedMemoryStatusRequest,
    SystemSharedMemoryStatusResponse, SystemSharedMemoryUnregisterRequest,
    SystemSharedMemoryUnregisterResponse, TraceSettingRequest, TraceSettingResponse,
    grpc_inference_service_server::GrpcInferenceService,
};
use nanogrid_serving::Health;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    call::Call, error::Error, expert::Expert, loading::Loading, metadata, pipeline, repository::Repository,
    stream, wire,
};

/// The service.
#[derive(Clone)]
pub(crate) struct Ingress {
    repository: Arc<Repository>,
    health: Health,
    /// `None` where the settings do not allow changes.
    changes: Option<Arc<Loading>>,
}

impl Ingress {
    pub(crate) fn new(repository: Arc<Repository>, health: Health, changes: Option<Arc<Loading>>) -> Self {
        Self { repository, health, changes }
    }

    /// One request to one expert, from a call of its own or from a stream.
    pub(crate) async fn infer(
        &self,
        message: ModelInferRequest,
        call: Call,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let expert = self.find(&message.model_name, &message.model_version)?;
        match pipeline::answer(&expert, message, call).await {
            Ok(answer) => {
                let mut response = Response::new(answer);
                expert.sign(response.metadata_mut());
                Ok(response)
            }
            Err(error) => {
                let mut status = Status::from(error);
                expert.sign(status.metadata_mut());
                Err(status)
            }
        }
    }

    /// Changes the repository, off the threads that serve. Once begun it goes on to its end, whoever still waits for it.
    #[expect(clippy::disallowed_methods, reason = "an operator's command now and then, which loads a model")]
    async fn change(
        &self,
        rpc: &'static str,
        change: impl FnOnce(&Loading) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let Some(loading) = self.changes.clone() else {
            return Err(Error::NotOffered { what: rpc, instead: FIXED });
        };
        let changed = tokio::task::spawn_blocking(move || change(&loading)).await;
        changed.unwrap_or_else(|_| Err(Error::Failed(format!("{rpc} panicked"))))
    }

    fn find(&self, name: &str, version: &str) -> Result<Arc<Expert>, Error> {
        self.repository.find(name, wire::version(version)?)
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Ingress {
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
        Ok(Response::new(ServerReadyResponse { ready: self.health.ready() }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let version = wire::version(&version)?;
        // As Triton has it: what is not here is not ready, which is no error.
        Ok(Response::new(ModelReadyResponse { ready: self.repository.find(&name, version).is_ok() }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(metadata::server()))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let expert = self.find(&name, &version)?;
        let snapshot = self.repository.snapshot();
        Ok(Response::new(metadata::model(&expert, snapshot.versions(&name)?)))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let expert = self.find(&name, &version)?;
        let snapshot = self.repository.snapshot();
        let config = metadata::config(&expert, snapshot.versions(&name)?);
        Ok(Response::new(ModelConfigResponse { config: Some(config) }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let call = Call::of(&request);
        self.infer(request.into_inner(), call).await
    }

    type ModelStreamInferStream = BoxStream<'static, Result<ModelStreamInferResponse, Status>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        Ok(Response::new(stream::answers(self.clone(), request)))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let report =
            |expert: &Arc<Expert>| expert.statistics.report(expert.name(), &expert.version, expert.memory);
        let snapshot = self.repository.snapshot();
        let model_stats = match (name.as_str(), wire::version(&version)?) {
            ("", _) => snapshot.ready().map(report).collect(),
            (name, None) => snapshot.versions(name)?.ready().map(report).collect(),
            (name, version) => vec![report(&self.repository.find(name, version)?)],
        };
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let RepositoryIndexRequest { repository_name, ready } = request.into_inner();
        one_repository(&repository_name)?;
        Ok(Response::new(metadata::index(&self.repository.snapshot(), ready)))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        let RepositoryModelLoadRequest { repository_name, model_name, parameters } = request.into_inner();
        one_repository(&repository_name)?;
        let version = wire::version_to_change(&parameters)?;
        self.change("RepositoryModelLoad", move |loading| loading.exchange(&model_name, version)).await?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        let RepositoryModelUnloadRequest { repository_name, model_name, parameters } = request.into_inner();
        one_repository(&repository_name)?;
        let version = wire::version_to_change(&parameters)?;
        self.change("RepositoryModelUnload", move |loading| loading.unload(&model_name, version)).await?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }

    async fn system_shared_memory_status(
        &self,
        _: Request<SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<SystemSharedMemoryStatusResponse>, Status> {
        not_offered("SystemSharedMemoryStatus", INLINE)
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<SystemSharedMemoryRegisterResponse>, Status> {
        not_offered("SystemSharedMemoryRegister", INLINE)
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<SystemSharedMemoryUnregisterResponse>, Status> {
        not_offered("SystemSharedMemoryUnregister", INLINE)
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<CudaSharedMemoryStatusResponse>, Status> {
        not_offered("CudaSharedMemoryStatus", INLINE)
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<CudaSharedMemoryRegisterResponse>, Status> {
        not_offered("CudaSharedMemoryRegister", INLINE)
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<CudaSharedMemoryUnregisterResponse>, Status> {
        not_offered("CudaSharedMemoryUnregister", INLINE)
    }

    async fn trace_setting(
        &self,
        _: Request<TraceSettingRequest>,
    ) -> Result<Response<TraceSettingResponse>, Status> {
        not_offered(
            "TraceSetting",
            "traces are set up by the settings `telemetry.otlp-endpoint` and `telemetry.sample`",
        )
    }

    async fn log_settings(
        &self,
        _: Request<LogSettingsRequest>,
    ) -> Result<Response<LogSettingsResponse>, Status> {
        not_offered("LogSettings", "the log is set up by the setting `telemetry.log`")
    }
}

const FIXED: &str = "set `repository.allow-changes`, or start another process with the folder of the package, and stop this one";
const INLINE: &str = "send tensors in `raw_input_contents`";

fn one_repository(name: &str) -> Result<(), Error> {
    match name {
        "" => Ok(()),
        _ => Err(Error::NotOffered {
            what: "repository_name",
            instead: "there is one repository: leave it empty",
        }),
    }
}

fn not_offered<T>(what: &'static str, instead: &'static str) -> Result<Response<T>, Status> {
    Err(Error::NotOffered { what, instead }.into())
}
