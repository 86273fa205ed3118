//! Versions that come and go while the process serves.

use std::{collections::HashMap, path::Path};

use nanogrid_proto::inference::{
    ModelRepositoryParameter, RepositoryIndexRequest, RepositoryModelLoadRequest,
    RepositoryModelUnloadRequest, model_repository_parameter::ParameterChoice,
};
use nanogrid_testkit::packages;
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::host::{
    Running, assert_refused, infer, outputs, serve_with, settings, strings, texts, wait_until,
};

const LABELS: [&str; 2] = ["sun", "rain"];

async fn host(packages: &[std::path::PathBuf]) -> Running {
    let mut settings = settings(packages);
    settings.repository.allow_changes = true;
    serve_with(&settings).await
}

fn version_parameter(version: Option<&str>) -> HashMap<String, ModelRepositoryParameter> {
    let text = |version: &str| ParameterChoice::StringParam(version.to_owned());
    version
        .map(|version| {
            ("version".to_owned(), ModelRepositoryParameter { parameter_choice: Some(text(version)) })
        })
        .into_iter()
        .collect()
}

async fn load(host: &Running, name: &str, version: Option<&str>) -> Result<(), Status> {
    let parameters = version_parameter(version);
    let request =
        RepositoryModelLoadRequest { model_name: name.to_owned(), parameters, ..Default::default() };
    host.client.clone().repository_model_load(request).await.map(|_| ())
}

async fn unload(host: &Running, name: &str, version: Option<&str>) -> Result<(), Status> {
    let parameters = version_parameter(version);
    let request =
        RepositoryModelUnloadRequest { model_name: name.to_owned(), parameters, ..Default::default() };
    host.client.clone().repository_model_unload(request).await.map(|_| ())
}

/// Makes another version the default one, as an operator would.
fn set_default(expert: &Path, version: u32) {
    let path = expert.join("expert.toml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let lines = manifest.lines().filter(|line| !line.starts_with("default-version"));
    let manifest: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(path, format!("{manifest}default-version = {version}\n")).unwrap();
}

async fn index(host: &Running) -> Vec<(String, String)> {
    let index = host.client.clone().repository_index(RepositoryIndexRequest::default()).await.unwrap();
    index.into_inner().models.into_iter().map(|model| (model.version, model.state)).collect()
}

#[tokio::test]
async fn a_version_is_exchanged_under_load_and_no_request_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let expert = packages::text_classifier(dir.path(), "weather", &LABELS);
    let host = host(std::slice::from_ref(&expert)).await;
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (client, stopped) = (host.client.clone(), stopped.clone());
        clients.spawn(async move {
            let mut versions = Vec::new();
            while !*stopped.borrow() {
                let answer = infer(&client, texts("weather", &["rain"])).await.expect("never lost");
                versions.push(answer.model_version.clone());
                assert_eq!(strings(&outputs(answer)["label"]), ["rain"]);
            }
            versions
        });
    }
    for _ in 0..5 {
        load(&host, "weather", None).await.expect("the same version, read again");
    }
    packages::text_classifier_version(&expert, 2, &LABELS);
    set_default(&expert, 2);
    load(&host, "weather", None).await.expect("the new default version");
    unload(&host, "weather", Some("1")).await.expect("nobody asks for it");
    let answer = infer(&host.client, texts("weather", &["rain"])).await.unwrap();
    assert_eq!(answer.model_version, "2");
    stop.send(true).unwrap();
    for versions in clients.join_all().await {
        assert!(versions.is_sorted(), "first the old one, then the new one, and no way back");
    }
    assert_eq!(index(&host).await, [("1", "UNAVAILABLE"), ("2", "READY")].map(|(a, b)| (a.into(), b.into())));
    let mut old = texts("weather", &["rain"]);
    old.model_version = "1".into();
    assert_refused(infer(&host.client, old).await, Code::Unavailable, &["unloaded"]);
    host.stop().await;
}

#[tokio::test]
async fn what_cannot_be_loaded_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let expert = packages::text_classifier(dir.path(), "weather", &LABELS);
    let host = host(std::slice::from_ref(&expert)).await;
    std::fs::write(expert.join("1/model.onnx"), "no model").unwrap();
    assert_refused(
        load(&host, "weather", None).await,
        Code::FailedPrecondition,
        &["`weather`", "model.onnx"],
    );
    assert_refused(load(&host, "weather", Some("7")).await, Code::FailedPrecondition, &["7"]);
    assert_refused(load(&host, "weather", Some("../..")).await, Code::InvalidArgument, &["../.."]);
    assert_refused(load(&host, "topic", None).await, Code::NotFound, &["`topic`", "`weather`"]);
    assert_refused(unload(&host, "weather", Some("7")).await, Code::NotFound, &["7", "`1`"]);
    infer(&host.client, texts("weather", &["rain"])).await.expect("as before");
    assert_eq!(index(&host).await, [("1".into(), "READY".into())]);
    host.stop().await;
}

#[tokio::test]
async fn an_expert_that_was_unloaded_is_not_healthy_until_it_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&[packages::text_classifier(dir.path(), "weather", &LABELS)]).await;
    unload(&host, "weather", None).await.unwrap();
    wait_until(&host.channel, "weather", ServingStatus::NotServing).await;
    assert_refused(
        infer(&host.client, texts("weather", &["rain"])).await,
        Code::Unavailable,
        &["unloaded", "RepositoryModelLoad"],
    );
    load(&host, "weather", None).await.unwrap();
    wait_until(&host.channel, "weather", ServingStatus::Serving).await;
    infer(&host.client, texts("weather", &["rain"])).await.expect("it is back");
    host.stop().await;
}
