//! Questions about a model instead of to it: descriptions and statistics. No part of any request's time.

use std::time::Duration;

use nanogrid_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use tokio::time::timeout;
use tonic::{Response, Status, transport::Channel};

use super::pick::{Tried, pick};
use crate::{
    catalog::Version,
    endpoint::{Connection, Endpoint},
    error::CallError,
};

/// Asks any endpoint of `version`.
pub async fn ask_about<T>(
    version: &Version,
    limit: Duration,
    ask: impl AsyncFnOnce(GrpcInferenceServiceClient<Channel>) -> Result<Response<T>, Status>,
) -> Result<T, CallError> {
    let picked = pick(version, &Tried::default(), |_endpoint| true);
    let picked = picked.ok_or_else(|| CallError::nobody(version))?;
    ask_over(picked.endpoint, picked.connection, limit, ask).await
}

/// Asks this endpoint and no other.
pub async fn ask_endpoint<T>(
    endpoint: &Endpoint,
    limit: Duration,
    ask: impl AsyncFnOnce(GrpcInferenceServiceClient<Channel>) -> Result<Response<T>, Status>,
) -> Result<T, CallError> {
    let connection = endpoint.connection().ok_or_else(|| CallError::NoEndpoint {
        version: endpoint.identity.version,
        reason: endpoint.reason(),
    })?;
    ask_over(endpoint, connection, limit, ask).await
}

async fn ask_over<T>(
    endpoint: &Endpoint,
    connection: Connection,
    limit: Duration,
    ask: impl AsyncFnOnce(GrpcInferenceServiceClient<Channel>) -> Result<Response<T>, Status>,
) -> Result<T, CallError> {
    let failed = |status| CallError::of(status, &endpoint.identity.address, limit, false);
    let channel = match connection {
        Connection::Grpc(channel) => channel,
        Connection::OpenAi(_) => {
            return Err(failed(Status::unimplemented(
                "an OpenAI-compatible server tells nothing of its models",
            )));
        }
    };
    match timeout(limit, ask(GrpcInferenceServiceClient::new(channel))).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(failed(status)),
        Err(_elapsed) => Err(CallError::TimedOut { limit }),
    }
}
