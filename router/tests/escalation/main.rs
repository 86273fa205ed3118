//! What the classifier finds nobody for goes to a model behind an OpenAI-compatible HTTP API: a server of this process.

// A helper that unwraps fails the test that called it; clippy knows only the test functions themselves.
#![allow(clippy::unwrap_used)]

mod answers;
mod bounds;
mod failures;
mod settings;
mod stand_in;
#[path = "../grid/support.rs"]
#[allow(dead_code, reason = "of another test, which needs all of it")]
mod support;
mod traces;

use std::{path::Path, time::Duration};

use nanogrid_proto::v1::{InferOptions, InferRequest, InferResponse, infer_request::Payload};
use nanogrid_settings::{Escalation, RouterSettings};
use nanogrid_testkit::{expert::ScriptedExpert, init_onnxruntime, packages};

use crate::{
    stand_in::StandIn,
    support::{Grid, entry, labels, with_options},
};

/// What nobody may ever read.
const KEY: &str = "sk-of-the-tests";

/// As it stands in a settings file, with further keys of the table.
fn escalation(folder: &Path, url: &str, more: &str) -> Escalation {
    let file = folder.join("router.toml");
    let table =
        format!("[escalation.openai]\nurl = \"{url}\"\nmodel = \"large-1\"\napi-key = \"{KEY}\"\n{more}");
    std::fs::write(&file, table).unwrap();
    RouterSettings::load(Some(&file)).unwrap().escalation.unwrap()
}

/// A grid whose classifier counts words, of which `intent` is an expert and `none` is for nobody.
async fn grid(server: &StandIn, more: &str) -> (ScriptedExpert, Grid) {
    grid_at(&server.url(), more).await
}

async fn grid_at(url: &str, more: &str) -> (ScriptedExpert, Grid) {
    init_onnxruntime();
    let folder = tempfile::tempdir().unwrap();
    let names = ["intent", "none"];
    let package = packages::text_classifier(folder.path(), "router", &names).join("1");
    packages::calibrate(&package, &names, &[(0.02, 0.3, 0.5)]);
    let intent = labels("intent", "transfer");
    let escalation = escalation(folder.path(), url, more);
    let grid = Grid::start_with(&[entry("intent", &intent)], |settings| {
        settings.classifier = Some(package);
        settings.classify_limit = Duration::from_secs(5);
        settings.default_deadline = Duration::from_secs(10);
        settings.escalation = Some(escalation);
    })
    .await;
    grid.until(|experts| experts.iter().all(|expert| expert.ready)).await;
    (intent, grid)
}

/// For nobody in the grid.
fn for_nobody() -> InferRequest {
    InferRequest { payload: Some(Payload::Text("none none".to_owned())), ..InferRequest::default() }
}

fn within(request: InferRequest, deadline: Duration) -> InferRequest {
    let deadline = Some(deadline.try_into().unwrap());
    with_options(request, InferOptions { deadline, ..InferOptions::default() })
}

/// What became of the one call: the gRPC code, and what is said of it.
#[track_caller]
fn failed(response: &InferResponse) -> (tonic::Code, &str) {
    let error = response.outcomes[0].error.as_ref().expect("it failed");
    (error.code.into(), &error.message)
}
