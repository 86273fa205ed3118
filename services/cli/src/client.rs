//! The grid as a client sees it: calls that end in an answer or in one sentence.

use std::time::Duration;

use nanogrid_proto::v1::{
    Fault, InferRequest, InferResponse, ListExpertsRequest, ListExpertsResponse, ListFaultsRequest,
    ListFaultsResponse, RouteRequest, RouteResponse, SetFaultsRequest, control_client::ControlClient,
    grid_client::GridClient,
};
use tonic::{Request, Response, Status, transport::Channel};

use crate::error::Error;

/// Longer than any deadline a grid grants: only a grid that hangs lets it pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the largest answer may hold; the router's own limit is the one that counts.
const MAX_MESSAGE: usize = 64 << 20;

pub(crate) struct Grid {
    addr: String,
    client: GridClient<Channel>,
}

impl Grid {
    pub(crate) async fn at(addr: &str) -> Result<Self, Error> {
        let channel = connect(addr, ADDR).await?;
        let client = GridClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { addr: addr.to_owned(), client })
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

/// The operators' side of a router, on its ops port.
pub(crate) struct Control {
    addr: String,
    client: ControlClient<Channel>,
}

impl Control {
    pub(crate) async fn at(addr: &str) -> Result<Self, Error> {
        let channel = connect(addr, OPS).await?;
        Ok(Self { addr: addr.to_owned(), client: ControlClient::new(channel) })
    }

    pub(crate) async fn faults(&mut self) -> Result<ListFaultsResponse, Error> {
        answer(&self.addr, OPS, self.client.list_faults(Request::new(ListFaultsRequest {}))).await
    }

    /// In place of all before.
    pub(crate) async fn set_faults(&mut self, faults: Vec<Fault>) -> Result<(), Error> {
        let request = Request::new(SetFaultsRequest { faults });
        answer(&self.addr, OPS, self.client.set_faults(request)).await.map(drop)
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
