//! The grid as a client sees it: calls that end in an answer or in one sentence.

use std::time::Duration;

use nanogrid_proto::v1::{
    InferRequest, InferResponse, ListExpertsRequest, ListExpertsResponse, RouteRequest, RouteResponse,
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
        let channel = connect(addr).await?;
        let client = GridClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { addr: addr.to_owned(), client })
    }

    pub(crate) async fn infer(&mut self, request: InferRequest) -> Result<InferResponse, Error> {
        answer(&self.addr, self.client.infer(Request::new(request))).await
    }

    pub(crate) async fn route(&mut self, request: InferRequest) -> Result<RouteResponse, Error> {
        let request = RouteRequest { request: Some(request) };
        answer(&self.addr, self.client.route(Request::new(request))).await
    }

    pub(crate) async fn experts(&mut self) -> Result<ListExpertsResponse, Error> {
        answer(&self.addr, self.client.list_experts(Request::new(ListExpertsRequest {}))).await
    }
}

async fn connect(addr: &str) -> Result<Channel, Error> {
    let endpoint = nanogrid_serving::endpoint(&format!("http://{addr}"))
        .map_err(|_| Error::Address { addr: addr.to_owned() })?;
    endpoint.connect().await.map_err(|_| Error::NoGrid { addr: addr.to_owned() })
}

async fn answer<T>(addr: &str, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Error::status(addr, status)),
        Err(_) => Err(Error::TimedOut { addr: addr.to_owned(), limit: PATIENCE }),
    }
}
