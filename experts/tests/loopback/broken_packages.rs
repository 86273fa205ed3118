//! Packages that cannot be served: alone they end the process with a sentence, among others they are left out.

use std::{fs, path::Path};

use crate::host::{Running, assert_refused, infer, serve, settings, texts};
use nanogrid_experts::Host;
use nanogrid_proto::inference::{ModelReadyRequest, RepositoryIndexRequest};
use nanogrid_testkit::packages;
use tokio::time::Instant;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

/// `broken` is a package of this name that someone has damaged.
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage, &str); 3] = [
    ("a wrong hash", |expert| fs::write(expert.join("1/tokenizer.json"), "{}").unwrap(), "tokenizer.json"),
    ("a missing file", |expert| fs::remove_file(expert.join("1/model.onnx")).unwrap(), "model.onnx"),
    ("labels that do not fit the model", one_label_too_many, "label"),
];

fn one_label_too_many(expert: &Path) {
    let folder = expert.join("1");
    let labels = r#"{"id2label": {"0": "sun", "1": "rain", "2": "snow"}, "max_position_embeddings": 16}"#;
    fs::write(folder.join("config.json"), labels).unwrap();
    let text = "datatype = \"INT64\"\nshape = [-1, -1]\n";
    let interface = format!(
        "[[inputs]]\nname = \"input_ids\"\n{text}[[inputs]]\nname = \"attention_mask\"\n{text}\
         [[outputs]]\nname = \"logits\"\ndatatype = \"FP32\"\nshape = [-1, 2]\n"
    );
    packages::seal(&folder, 1, "", &interface);
}

#[tokio::test]
async fn a_broken_package_is_left_out_and_the_others_serve() {
    for (damage, inflict, names) in DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        let good = packages::text_classifier(dir.path(), "weather", &["sun", "rain"]);
        let broken = packages::text_classifier(dir.path(), "broken", &["sun", "rain"]);
        inflict(&broken);
        let host = serve(&[broken, good]).await;
        infer(&host.client, texts("weather", &["rain"]))
            .await
            .unwrap_or_else(|refused| panic!("{damage}: {refused}"));
        assert_refused(
            infer(&host.client, texts("broken", &["rain"])).await,
            Code::Unavailable,
            &["`broken`", names],
        );
        crate::host::wait_until(&host.channel, "weather", ServingStatus::Serving).await;
        crate::host::wait_until(&host.channel, "broken", ServingStatus::NotServing).await;
        let reason = reason(&host).await;
        assert!(reason.contains(names), "{damage}: {reason}");
        let ready = ModelReadyRequest { name: "broken".into(), version: String::new() };
        assert!(!host.client.clone().model_ready(ready).await.unwrap().into_inner().ready);
        let page = crate::host::metrics(host.ops).await;
        assert!(page.contains("nanogrid_packages_refused_total 1"), "{damage}: {page}");
        host.stop().await;
    }
}

/// Why `broken` is not there, as the index tells.
async fn reason(host: &Running) -> String {
    let mut client = host.client.clone();
    let all = client.repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner().models;
    let listed: Vec<_> = all.iter().map(|model| (model.name.as_str(), model.state.as_str())).collect();
    assert_eq!(listed, [("broken", "UNAVAILABLE"), ("weather", "READY")]);
    let only_ready = RepositoryIndexRequest { ready: true, ..RepositoryIndexRequest::default() };
    let ready = client.repository_index(only_ready).await.unwrap().into_inner().models;
    assert_eq!(ready.len(), 1, "those that can answer");
    all[0].reason.clone()
}

#[tokio::test]
async fn nothing_but_broken_packages_ends_the_process_with_every_reason() {
    nanogrid_testkit::init_onnxruntime();
    let dir = tempfile::tempdir().unwrap();
    let mut folders = vec![dir.path().join("not-there")];
    for (i, (_, inflict, _)) in DAMAGES.into_iter().enumerate() {
        let broken = packages::text_classifier(dir.path(), &format!("broken-{i}"), &["sun", "rain"]);
        inflict(&broken);
        folders.push(broken);
    }
    let host = Host::bind(&settings(&folders), Instant::now()).await.unwrap();
    let error = host.serve(std::future::pending()).await.unwrap_err().to_string();
    for part in ["none of the 4", "not-there", "tokenizer.json", "model.onnx", "label"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[tokio::test]
async fn no_packages_at_all_is_said_so() {
    let error = Host::bind(&settings(&[]), Instant::now()).await.err().unwrap().to_string();
    assert!(error.contains("no packages") && error.contains("`packages`"), "{error}");
}

#[tokio::test]
async fn the_same_version_twice_serves_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = packages::text_classifier(dir.path(), "weather", &["sun", "rain"]);
    let host = serve(&[first.clone(), first.join("1")]).await;
    infer(&host.client, texts("weather", &["rain"])).await.unwrap();
    host.stop().await;
}
