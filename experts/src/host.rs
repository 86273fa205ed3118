//! The life of the process: bind, load, serve. The ports are bound first, so that a wrong address is noticed before
//! seconds of loading, and whoever watches the health of an expert sees it come.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    thread,
};

use nanogrid_proto::{
    inference::grpc_inference_service_server::GrpcInferenceServiceServer,
    v1::expert_info_server::ExpertInfoServer,
};
use nanogrid_serving::{Drain, Options, Server, Services};
use nanogrid_settings::{ExpertSettings, InferenceSettings, LimitSettings, ServerSettings};
use nanogrid_telemetry::metrics::{ExpertMetrics, Registry};
use tokio::{sync::oneshot, time::Instant};
use tonic::codec::CompressionEncoding::{Deflate, Gzip};

use crate::{info::Info, ingress::Ingress, loading::Loading, repository::Repository};

/// Why the process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing to do.
    #[error("no packages: name their folders as arguments, or in the setting `packages`")]
    NoPackages,
    /// Every package is broken; each has been logged with its reason.
    #[error("none of the {} packages can be served:\n{}", .0.len(), .0.join("\n"))]
    NothingToServe(Vec<String>),
    /// The ports.
    #[error(transparent)]
    Serving(#[from] nanogrid_serving::Error),
    /// The system refuses a thread.
    #[error("no thread to load packages: {0}")]
    Thread(#[from] std::io::Error),
}

/// Experts on a port, bound and not loaded yet.
pub struct Host {
    server: Server,
    repository: Arc<Repository>,
    registry: Registry,
    packages: Vec<PathBuf>,
    inference: InferenceSettings,
    limit: LimitSettings,
    allow_changes: bool,
    max_message: usize,
    started: Instant,
}

impl Host {
    /// Takes the ports. `started` is when the process began: from then on the time to readiness is counted.
    ///
    /// ONNX Runtime must have been initialised by [`nanogrid_onnx::init`].
    pub async fn bind(settings: &ExpertSettings, started: Instant) -> Result<Self, StartError> {
        if settings.packages.is_empty() {
            return Err(StartError::NoPackages);
        }
        let server = Server::bind(options(&settings.server)).await?;
        server.health().set("", false);
        Ok(Self {
            server,
            repository: Arc::default(),
            registry: Registry::new(),
            packages: settings.packages.clone(),
            inference: settings.inference.clone(),
            limit: settings.limit.clone(),
            allow_changes: settings.repository.allow_changes,
            max_message: settings.server.max_message,
            started,
        })
    }

    /// Where gRPC listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Where metrics and probes listen.
    pub fn ops_addr(&self) -> SocketAddr {
        self.server.ops_addr()
    }

    /// Loads and serves until `shutdown`, then drains. Ends early if not one package can be served.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
        let start_up = Arc::new(OnceLock::new());
        let health = self.server.health();
        let loading = Arc::new(Loading {
            repository: Arc::clone(&self.repository),
            health: health.clone(),
            metrics: ExpertMetrics::new(&self.registry),
            limits: self.inference,
            limit: self.limit,
            one: Mutex::default(),
        });
        let changes = self.allow_changes.then(|| Arc::clone(&loading));
        let ingress = Ingress::new(Arc::clone(&self.repository), health, changes);
        let info = Info::new(self.repository, Arc::clone(&start_up));
        let services = Services::new()
            .with(
                GrpcInferenceServiceServer::new(ingress)
                    .max_decoding_message_size(self.max_message)
                    .max_encoding_message_size(self.max_message)
                    .accept_compressed(Gzip)
                    // Answers are small and go out as they are: most clients offer to read gzip, few need it.
                    .accept_compressed(Deflate),
            )
            .with(ExpertInfoServer::new(info));
        let loaded = load_on_own_thread(loading, self.packages)?;
        let nothing_to_serve = async {
            match loaded.await {
                Ok(Err(error)) => return error,
                Ok(Ok(())) => {
                    let start_up = start_up.get_or_init(|| self.started.elapsed());
                    tracing::info!(?start_up, "ready");
                }
                // The thread is gone without a word: what it had loaded still answers.
                Err(_) => tracing::error!("loading ended early"),
            }
            std::future::pending().await
        };
        tokio::select! {
            served = self.server.serve(services, None, self.registry, shutdown) => Ok(served?),
            error = nothing_to_serve => Err(error),
        }
    }
}

/// Loading takes milliseconds to seconds of plain computing: on a thread of its own, not on one that serves.
fn load_on_own_thread(
    loading: Arc<Loading>,
    packages: Vec<PathBuf>,
) -> Result<oneshot::Receiver<Result<(), StartError>>, StartError> {
    let (done, loaded) = oneshot::channel();
    thread::Builder::new().name("loading".to_owned()).spawn(move || {
        // Nobody listens any more when the process is told to stop while it loads.
        let _ = done.send(loading.run(&packages));
    })?;
    Ok(loaded)
}

fn options(settings: &ServerSettings) -> Options {
    Options {
        listen: settings.listen,
        ops: settings.ops,
        max_message: settings.max_message,
        drain: Drain { serve_on: settings.drain.serve_on, hard_stop: settings.drain.hard_stop },
    }
}
