//! The grid as a client sees it: calls that end in an answer or in one sentence.

use std::time::Duration;

use clap::Args;
use nanogrid_proto::{
    inference::grpc_inference_service_client::GrpcInferenceServiceClient,
    v1::{
        ChangeRolloutRequest, Disagreement, Fault, InferRequest, InferResponse, ListDisagreementsRequest,
        ListExpertsRequest, ListExpertsResponse, ListFaultsRequest, ListFaultsResponse, ListRolloutsRequest,
        Rollout, RolloutChange, RolloutDecision, RolloutHistoryRequest, RouteRequest, RouteResponse,
        SetFaultsRequest, StartRolloutRequest, control_client::ControlClient, grid_client::GridClient,
    },
};
use tonic::{Request, Response, Status, transport::Channel};

use crate::error::Error;

/// Longer than any deadline a grid grants: only a grid that hangs lets it pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the largest answer may hold; the router's own limit is the one that counts.
const MAX_MESSAGE: usize = 64 << 20;

pub(crate) struct Grid {
    addr: String,
    channel: Channel,
    client: GridClient<Channel>,
}

impl Grid {
    pub(crate) async fn at(addr: &str) -> Result<Self, Error> {
        let channel = connect(addr, ADDR).await?;
        let client = GridClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { addr: addr.to_owned(), channel, client })
    }

    /// The same router over the Open Inference Protocol.
    pub(crate) fn inference(&self) -> GrpcInferenceServiceClient<Channel> {
        inference(self.channel.clone())
    }

    pub(crate) async fn infer(&mut self, request: InferRequest) -> Result<InferResponse, Error> {
        answer(&self.addr, ADDR, self.client.infer(Request::new(request))).await
    }

    pub(crate) async fn route(&mut self, request: InferRequest) -> Result<RouteResponse, Error> {
        let request = RouteRequest { request: Some(request) };
        answer(&self.addr, ADDR, self.client.route(Request::new(request))).await
    }

    pub(crate) async fn experts(&mut self) -> Result<ListExpertsResponse, Error> {
        answer(&self.addr, ADDR, self.client.list_experts(Request::new(ListExpertsRequest {}))).await
    }
}

pub(crate) fn inference(channel: Channel) -> GrpcInferenceServiceClient<Channel> {
    GrpcInferenceServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// How a command for operators finds the router.
#[derive(Args)]
pub(crate) struct Ops {
    /// Where the router's ops side answers
    #[arg(
        long,
        global = true,
        env = "NANOGRID_OPS",
        default_value = "127.0.0.1:8002",
        value_name = "HOST:PORT"
    )]
    ops: String,
}

impl Ops {
    pub(crate) async fn control(&self) -> Result<Control, Error> {
        Control::at(&self.ops).await
    }
}

/// The operators' side of a router, on its ops port.
pub(crate) struct Control {
    addr: String,
    client: ControlClient<Channel>,
}

impl Control {
    async fn at(addr: &str) -> Result<Self, Error> {
        let channel = connect(addr, OPS).await?;
        // A history holds the evidence of every decision.
        let client = ControlClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        Ok(Self { addr: addr.to_owned(), client })
    }

    pub(crate) async fn faults(&mut self) -> Result<ListFaultsResponse, Error> {
        answer(&self.addr, OPS, self.client.list_faults(Request::new(ListFaultsRequest {}))).await
    }

    /// In place of all before.
    pub(crate) async fn set_faults(&mut self, faults: Vec<Fault>) -> Result<(), Error> {
        let request = Request::new(SetFaultsRequest { faults });
        answer(&self.addr, OPS, self.client.set_faults(request)).await.map(drop)
    }

    pub(crate) async fn start_rollout(&mut self, request: StartRolloutRequest) -> Result<Rollout, Error> {
        answer(&self.addr, OPS, self.client.start_rollout(Request::new(request))).await
    }

    /// Of every expert, unless one is named.
    pub(crate) async fn rollouts(&mut self, expert: Option<&str>) -> Result<Vec<Rollout>, Error> {
        let request = ListRolloutsRequest { expert: expert.unwrap_or_default().to_owned() };
        let response = answer(&self.addr, OPS, self.client.list_rollouts(Request::new(request))).await?;
        Ok(response.rollouts)
    }

    pub(crate) async fn change_rollout(
        &mut self,
        expert: &str,
        change: RolloutChange,
    ) -> Result<Rollout, Error> {
        let request = ChangeRolloutRequest { expert: expert.to_owned(), change: change.into() };
        answer(&self.addr, OPS, self.client.change_rollout(Request::new(request))).await
    }

    /// Newest first; 0 = all that are kept.
    pub(crate) async fn history(&mut self, expert: &str, limit: u32) -> Result<Vec<RolloutDecision>, Error> {
        let request = RolloutHistoryRequest { expert: expert.to_owned(), limit };
        let response = answer(&self.addr, OPS, self.client.rollout_history(Request::new(request))).await?;
        Ok(response.decisions)
    }

    /// Newest first; 0 = all that are kept.
    pub(crate) async fn disagreements(
        &mut self,
        expert: &str,
        limit: u32,
    ) -> Result<Vec<Disagreement>, Error> {
        let request = ListDisagreementsRequest { expert: expert.to_owned(), limit };
        let response = answer(&self.addr, OPS, self.client.list_disagreements(Request::new(request))).await?;
        Ok(response.disagreements)
    }
}

/// The flags that name the two ports.
const ADDR: &str = "--addr";
const OPS: &str = "--ops";

async fn connect(addr: &str, flag: &'static str) -> Result<Channel, Error> {
    let endpoint = nanogrid_serving::endpoint(&format!("http://{addr}"))
        .map_err(|_| Error::Address { addr: addr.to_owned(), flag })?;
    endpoint.connect().await.map_err(|_| Error::NoGrid { addr: addr.to_owned(), flag })
}

async fn answer<T>(
    addr: &str,
    flag: &'static str,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Error::status(addr, flag, status)),
        Err(_) => Err(Error::TimedOut { addr: addr.to_owned(), limit: PATIENCE }),
    }
}
