//! What the router asks an endpoint about itself: is it the right one, and does it serve?
//!
//! nanogrid's own experts answer `ExpertInfo` and gRPC health. Other servers of the protocol may know neither, and are
//! asked with the protocol's own words.

use std::time::Duration;

use nanogrid_proto::{
    inference::{ModelReadyRequest, grpc_inference_service_client::GrpcInferenceServiceClient},
    v1::{GetInfoRequest, GetInfoResponse, PackageInfo, expert_info_client::ExpertInfoClient},
};
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Facts, Identity};

/// Questions about itself are cheap to answer: who takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(1);
/// For servers whose health cannot be watched.
const POLL: Duration = Duration::from_secs(1);

/// Why an endpoint cannot be used over this connection any more.
#[derive(Debug)]
pub(super) enum Ended {
    /// Connect again.
    Lost(String),
    /// It answered, and is not ready to say what it is.
    NotServing(String),
    /// It answered, and is not what the grid file says.
    Refused(String),
}

/// Is it what the grid file says, and what does it tell of itself?
pub(super) async fn identify(channel: &Channel, expected: &Identity) -> Result<Facts, Ended> {
    let asked = patient(ExpertInfoClient::new(channel.clone()).get_info(GetInfoRequest {})).await;
    match asked {
        Ok(response) => check(response.into_inner(), expected),
        Err(status) if status.code() == Code::Unimplemented => {
            model_ready(channel, expected).await?;
            Ok(Facts::default())
        }
        Err(status) => Err(lost(&status)),
    }
}

fn check(process: GetInfoResponse, expected: &Identity) -> Result<Facts, Ended> {
    let Identity { address: _, expert, version, task, model_sha256 } = expected;
    let wanted = format!("`{expert}` version {version}");
    let is_wanted =
        |package: &PackageInfo| package.name == expert.as_str() && package.version.parse() == Ok(*version);
    let Some(package) = process.packages.iter().find(|package| is_wanted(package)) else {
        let served =
            process.packages.iter().map(|package| format!("`{}` version {}", package.name, package.version));
        let served = served.collect::<Vec<_>>().join(", ");
        let reason = format!("the grid file wants {wanted} here, and it serves {served}");
        return Err(Ended::Refused(reason));
    };
    // While it loads, it knows no more of a package than where it is.
    if !package.ready {
        let reason = if package.reason.is_empty() { "it is loading" } else { &package.reason };
        return Err(Ended::NotServing(reason.to_owned()));
    }
    if package.task != task.as_str() {
        let reason =
            format!("the grid file says that {wanted} does `{task}`, and it does `{}`", package.task);
        return Err(Ended::Refused(reason));
    }
    if let Some(digest) = model_sha256
        && *digest != package.model_sha256
    {
        let actual = &package.model_sha256;
        let reason = format!("the grid file wants {wanted} with model {digest}, and it has {actual}");
        return Err(Ended::Refused(reason));
    }
    Ok(Facts {
        pid: process.pid,
        memory: process.memory,
        model_sha256: package.model_sha256.clone(),
        labels_sha256: package.labels_sha256.clone(),
    })
}

async fn model_ready(channel: &Channel, expected: &Identity) -> Result<bool, Ended> {
    let request =
        ModelReadyRequest { name: expected.expert.to_string(), version: expected.version.to_string() };
    match patient(GrpcInferenceServiceClient::new(channel.clone()).model_ready(request)).await {
        Ok(response) => Ok(response.into_inner().ready),
        Err(status)
            if matches!(status.code(), Code::NotFound | Code::InvalidArgument | Code::Unimplemented) =>
        {
            let Identity { expert, version, .. } = expected;
            let message = status.message();
            Err(Ended::Refused(format!("it does not know `{expert}` version {version}: {message}")))
        }
        Err(status) => Err(lost(&status)),
    }
}

/// Tells whether the endpoint serves, each time that changes, for as long as the connection lasts.
pub(super) async fn follow_health(channel: &Channel, expected: &Identity, tell: impl Fn(bool)) -> Ended {
    // The expert's own health; a server without one per expert has that of the whole process.
    for service in [expected.expert.as_str(), ""] {
        if let Some(ended) = watch(channel, service, &tell).await {
            return ended;
        }
    }
    loop {
        match model_ready(channel, expected).await {
            Ok(ready) => tell(ready),
            Err(ended) => return ended,
        }
        sleep(POLL).await;
    }
}

/// `None`: the server does not know the service, or cannot be watched at all.
async fn watch(channel: &Channel, service: &str, tell: &impl Fn(bool)) -> Option<Ended> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut client = HealthClient::new(channel.clone());
    let mut news = match patient(client.watch(request)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return lost_unless_unknown(&status),
    };
    loop {
        match news.message().await {
            Ok(Some(news)) if news.status == ServingStatus::ServiceUnknown as i32 => return None,
            Ok(Some(news)) => tell(news.status == ServingStatus::Serving as i32),
            Ok(None) => return Some(Ended::Lost("it ended the connection".to_owned())),
            Err(status) => return lost_unless_unknown(&status),
        }
    }
}

fn lost_unless_unknown(status: &Status) -> Option<Ended> {
    (!matches!(status.code(), Code::Unimplemented | Code::NotFound)).then(|| lost(status))
}

async fn patient<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<Response<T>, Status> {
    match timeout(PATIENCE, call).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Status::deadline_exceeded(format!("no answer within {PATIENCE:?}"))),
    }
}

fn lost(status: &Status) -> Ended {
    Ended::Lost(match std::error::Error::source(status) {
        Some(source) => innermost(source),
        None => status.message().to_owned(),
    })
}

/// The outer layers of a transport error say "transport error"; the inmost one says what happened.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
