//! A router that could not escalate as it is told does not start, and says why; a grid file cannot take the model's name.

use nanogrid_router::RouterServer;
use nanogrid_settings::RouterSettings;

use crate::{
    KEY, escalation, for_nobody, grid,
    stand_in::{Reply, StandIn},
    support::{entry, grid_file, labels},
};

async fn refused(url: &str, more: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let expert = labels("intent", "transfer");
    let grid = folder.path().join("grid.toml");
    std::fs::write(&grid, grid_file(&[entry("intent", &expert)])).unwrap();
    let mut settings = RouterSettings {
        grid_file: grid,
        classifier: None,
        escalation: Some(escalation(folder.path(), url, more)),
        ..RouterSettings::default()
    };
    settings.server.listen.set_port(0);
    settings.server.ops.set_port(0);
    let error = RouterServer::bind(&settings).await.expect_err("refused").to_string();
    assert!(!error.contains(KEY), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_asked_keeps_the_router_from_starting() {
    let error = refused("https://not a host", "").await;
    assert!(error.starts_with("escalation.openai: url: is no URL: "), "{error}");
    let error = refused("https://me:secret@api.example.com", "").await;
    assert_eq!(
        error,
        "escalation.openai: url: must hold no name and password: use `api-key` or `api-key-file`"
    );
    let error = refused("https://api.example.com?x=1", "").await;
    assert_eq!(error, "escalation.openai: url: must end with a path: `https://api.example.com?x=1`");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_of_the_models_name_keeps_the_router_from_starting() {
    let error = refused("https://api.example.com", "name = \"intent\"\n").await;
    assert!(
        error.ends_with(
            "grid.toml: expert `intent`: is the name of `escalation.openai` as well: give one of them another"
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_stays_through_reloads_and_keeps_its_name() {
    let server = StandIn::start(Reply::text("a poem")).await;
    let (intent, grid) = grid(&server, "").await;
    let other = labels("other", "x");
    grid.write(&grid_file(&[entry("intent", &intent), entry("other", &other)]));
    let experts = grid.until(|experts| experts.len() == 3).await;
    let model = experts.iter().find(|expert| expert.name == "openai").expect("it stays");
    assert!(model.ready && model.title.contains("large-1"), "{model:?}");
    assert!(grid.infer(for_nobody()).await.unwrap().complete);

    grid.write(&grid_file(&[entry("intent", &intent), entry("openai", &other)]));
    let mut control = grid.control().await;
    let refused = control.reload(nanogrid_proto::v1::ReloadRequest {}).await.unwrap_err();
    assert!(refused.message().contains("is the name of `escalation.openai` as well"), "{refused:?}");
    assert!(grid.infer(for_nobody()).await.unwrap().complete, "the grid in use stays");
}
