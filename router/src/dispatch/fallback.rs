//! Who answers when the version that was planned cannot: another version, another expert, and in the end a label that is
//! fixed in the grid file. A degraded answer says so, is counted, and is never kept in the cache as the real one.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use nanogrid_proto::{
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::{self, Data, Tensor, set_outputs},
};
use nanogrid_telemetry::metrics::FallbackKind;
use tokio::time::Instant;
use tonic::Response;
use tracing::{debug, warn};

use super::{Attempted, Dispatch, Trail, attempts::Asked, call::Leg};
use crate::{
    catalog::{Expert, Version},
    error::CallError,
    plan::{Call, Substitute},
};

/// Who answered instead of what was planned, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoodIn {
    /// Who.
    pub by: Stand,
    /// What happened to the version that was planned, for people.
    pub why: String,
}

/// Who stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stand {
    Version(u32),
    Expert(String),
    Label(String),
}

impl Dispatch {
    /// The planned version, or the first that can stand in for it while there is time.
    pub(super) async fn ask_in_turn(
        &self,
        call: &Call,
        message: &ModelInferRequest,
        headers: &HeaderMap,
    ) -> Attempted {
        let started = Instant::now();
        let leg = |expert, version| Leg::new(expert, version, call.deadline, message, headers);
        let mut trail = Trail::default();
        let planned = leg(&call.expert, call.version()).with_substitute(!call.substitutes.is_empty());
        let mut result = trail.follow(call.version(), self.call(&planned).await);
        for substitute in &call.substitutes {
            let Some(why) = result.as_ref().err().filter(|error| !error.is_about_the_request()) else {
                break;
            };
            let why = why.to_string();
            let (expert, version): (&Expert, &Version) = match substitute {
                Substitute::Version(idx) => (&call.expert, &call.expert.versions[*idx]),
                Substitute::Expert(expert, idx) => (expert, &expert.versions[*idx]),
                Substitute::Label(label) => {
                    let Some(answer) = fixed(label, call, message) else { continue };
                    trail.version = None;
                    trail.endpoint = None;
                    trail.stood_in(call, substitute, why);
                    result = Ok(Response::new(answer));
                    break;
                }
            };
            if !has_time(call.deadline, version) {
                continue;
            }
            let mut tried = trail.clone();
            // Rare, and else every call would be twice as large.
            let asked = Box::pin(self.call(&leg(expert, version))).await;
            match tried.follow(version, asked) {
                Ok(answer) => {
                    tried.stood_in(call, substitute, why);
                    (trail, result) = (tried, Ok(answer));
                }
                // What happened to the version that was asked for stays the error.
                Err(error) => {
                    debug!(%error, ?substitute, "cannot stand in either");
                    trail.attempts = tried.attempts;
                }
            }
        }
        trail.total = started.elapsed();
        Attempted { result, trail }
    }
}

impl Trail {
    fn follow(
        &mut self,
        version: &Version,
        Asked { answer, endpoint, n_attempts, is_hedged, has_failed: _ }: Asked,
    ) -> Result<Response<ModelInferResponse>, CallError> {
        self.version = version.number().filter(|_| n_attempts > 0);
        self.endpoint = endpoint;
        self.attempts += n_attempts;
        self.is_hedged |= is_hedged;
        answer
    }

    fn stood_in(&mut self, call: &Call, substitute: &Substitute, why: String) {
        let (by, kind) = match substitute {
            Substitute::Version(idx) => {
                (Stand::Version(call.expert.versions[*idx].number), FallbackKind::Version)
            }
            Substitute::Expert(expert, _) => (Stand::Expert(expert.name.to_string()), FallbackKind::Expert),
            Substitute::Label(label) => (Stand::Label(label.clone()), FallbackKind::Label),
        };
        let (expert, version) = (&call.expert.name, call.version().number);
        call.expert.allowance.metrics.fell_back(kind);
        if call.expert.allowance.is_news() {
            warn!(%expert, version, %by, why, "degraded: another one answers (told once in a while, counted always)");
        } else {
            debug!(%expert, version, %by, why, "degraded: another one answers");
        }
        self.fallback = Some(StoodIn { by, why });
    }
}

/// A usual answer must still be possible; of a version that nothing is known of, any.
fn has_time(deadline: Instant, version: &Version) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    left > version.pool.latency.p50().unwrap_or(Duration::ZERO)
}

/// An answer of the labels' kind, one for each row of the message, with no confidence in it.
fn fixed(label: &str, call: &Call, message: &ModelInferRequest) -> Option<ModelInferResponse> {
    // The rows that are there, not those that a shape promises.
    let inputs = tensor::inputs(message.clone()).ok()?;
    let n_rows = inputs.iter().find_map(|input| {
        let Data::Bytes(rows) = &input.data else { return None };
        Some(rows.len())
    })?;
    let label = Bytes::copy_from_slice(label.as_bytes());
    let mut answer = ModelInferResponse {
        model_name: call.expert.name.to_string(),
        model_version: call.version().number.to_string(),
        id: message.id.clone(),
        ..Default::default()
    };
    let shape = vec![n_rows, 1];
    set_outputs(
        &mut answer,
        vec![
            Tensor { name: "label".to_owned(), shape: shape.clone(), data: Data::Bytes(vec![label; n_rows]) },
            Tensor { name: "score".to_owned(), shape, data: Data::F32(vec![0.0; n_rows]) },
        ],
    );
    Some(answer)
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(number) => write!(f, "version {number}"),
            Self::Expert(name) => write!(f, "expert `{name}`"),
            Self::Label(label) => write!(f, "the label `{label}`"),
        }
    }
}
