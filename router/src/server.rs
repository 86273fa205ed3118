//! The router as a process part: made from settings, bound, served until told to stop. `main` and the tests start it the
//! same way.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use nanogrid_proto::{
    inference::grpc_inference_service_server::GrpcInferenceServiceServer,
    v1::{control_server::ControlServer, grid_server::GridServer},
};
use nanogrid_serving::{Drain, Network, Options, Server, Services};
use nanogrid_settings::{Escalation, RouterSettings};
use nanogrid_telemetry::metrics::{Registry, RouterMetrics};
use tonic::codec::CompressionEncoding::{Deflate, Gzip};

use crate::{
    Router,
    admission::Admission,
    cache::Caches,
    catalog::Catalog,
    classify::Classifier,
    control::ControlService,
    discovery::Discovery,
    dispatch::Dispatch,
    fault::Faults,
    ingress::{Door, Limits, grid::GridService, oip::OipService},
    openai::OpenAi,
    plan::Rules,
    rollout::{ResumeError, Rollouts},
    shadow::Shadow,
};

/// A router that is bound and has its grid, not serving yet.
#[derive(Debug)]
pub struct RouterServer {
    server: Server,
    router: Arc<Router>,
    discovery: Arc<Discovery>,
    registry: Registry,
    max_message: usize,
    reload_every: Duration,
    rollout_tick: Duration,
}

/// Why a router cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The grid file is missing or wrong.
    #[error("{0}")]
    Grid(#[from] nanogrid_settings::Error),
    /// The server that requests should escalate to cannot be asked.
    #[error("escalation.openai: {0}")]
    OpenAi(String),
    /// What rollouts were doing cannot be read.
    #[error(transparent)]
    Rollouts(#[from] ResumeError),
    /// A port cannot be had.
    #[error(transparent)]
    Serving(#[from] nanogrid_serving::Error),
}

impl RouterServer {
    /// Reads the grid, loads the classifier, binds both ports. Experts need not be there yet.
    pub async fn bind(settings: &RouterSettings) -> Result<Self, StartError> {
        Self::bind_in(Network::default(), settings).await
    }

    /// The same in any network.
    pub async fn bind_in(network: Network, settings: &RouterSettings) -> Result<Self, StartError> {
        let registry = Registry::new();
        let metrics = RouterMetrics::new(&registry);
        let classifier = Arc::new(Classifier::load(settings, metrics.clone()));
        let mut catalog = Catalog::new(network.clone(), metrics.clone());
        if let Some(Escalation::OpenAi(openai)) = &settings.escalation {
            let bigger = OpenAi::new(openai).map_err(StartError::OpenAi)?;
            catalog = catalog.with_openai(openai.name.clone(), Arc::new(bigger));
        }
        let catalog = Arc::new(catalog);
        let caches = Arc::new(Caches::new(metrics.clone()));
        let discovery = Discovery::start(
            settings.grid_file.clone(),
            catalog.clone(),
            caches.clone(),
            classifier.clone(),
            metrics.clone(),
        )?;
        let max_message = settings.server.max_message;
        let options = Options {
            listen: settings.server.listen,
            ops: settings.server.ops,
            max_message,
            drain: Drain {
                serve_on: settings.server.drain.serve_on,
                hard_stop: settings.server.drain.hard_stop,
            },
        };
        let server = Server::bind_in(&network, options).await?;
        // One of the largest messages always has room.
        let max_bytes = settings.max_bytes_in_flight.max(max_message);
        let admission = Admission::new(settings.max_in_flight, max_bytes, metrics.admission());
        let faults = Arc::new(Faults::new(settings.faults_allowed, rand::random(), metrics.clone()));
        let shadow = Arc::new(Shadow::new(settings.keep_shadow_payload, max_message, metrics.clone()));
        let home = &settings.rollouts;
        let rollouts = Rollouts::resume(catalog.clone(), shadow.clone(), home, metrics.rollouts()).await?;
        let escalate_to = settings.escalation.as_ref().map(|escalation| escalation.name().clone());
        let router = Router {
            catalog,
            classifier,
            dispatch: Dispatch::new(max_message, caches, faults.clone(), shadow),
            limits: Limits::from(settings),
            rules: Rules { max_experts: settings.max_experts, escalate_to },
            admission: Arc::new(admission),
            faults,
            rollouts: Arc::new(rollouts),
            metrics,
        };
        Ok(Self {
            server,
            router: Arc::new(router),
            discovery: Arc::new(discovery),
            registry,
            max_message,
            reload_every: settings.reload_every,
            rollout_tick: settings.rollout_tick,
        })
    }

    /// Where gRPC listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Where the ops side listens.
    pub fn ops_addr(&self) -> SocketAddr {
        self.server.ops_addr()
    }

    /// Serves until `shutdown` resolves and the drain is over.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), nanogrid_serving::Error> {
        let Self { server, router, discovery, registry, max_message, reload_every, rollout_tick } = self;
        let grid = GridServer::new(GridService::new(router.clone()))
            .max_decoding_message_size(max_message)
            .max_encoding_message_size(max_message)
            .accept_compressed(Gzip)
            .accept_compressed(Deflate)
            .send_compressed(Gzip)
            .send_compressed(Deflate);
        let oip = GrpcInferenceServiceServer::new(OipService::new(router.clone()))
            .max_decoding_message_size(max_message)
            .max_encoding_message_size(max_message)
            .accept_compressed(Gzip)
            .accept_compressed(Deflate)
            .send_compressed(Gzip)
            .send_compressed(Deflate);
        let grid = Door::new(grid, router.admission.clone());
        let oip = Door::new(oip, router.admission.clone());
        let rollouts = router.rollouts.clone();
        let control = ControlServer::new(ControlService::new(router, discovery.clone()));
        let ops = Services::new().with(control).into_router();
        let served = tokio::select! {
            served = server.serve(Services::new().with(grid).with(oip), Some(ops), registry, shutdown) => served,
            () = discovery.follow(reload_every) => Ok(()),
            () = rollouts.run(rollout_tick) => Ok(()),
        };
        rollouts.leave().await;
        served
    }
}
