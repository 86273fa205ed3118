//! The grid file changes while requests flow.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use nanogrid_proto::v1::{ReloadRequest, StatusRequest, control_client::ControlClient};
use tonic::Code;

use crate::support::*;

async fn control(grid: &Grid) -> ControlClient<tonic::transport::Channel> {
    let channel =
        nanogrid_serving::endpoint(&grid.ops).unwrap().connect().await.expect("the ops port listens");
    ControlClient::new(channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn experts_come_and_go_without_a_lost_request() {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let (one, both) =
        ([entry("intent", &intent)], [entry("intent", &intent), entry("sentiment", &sentiment)]);
    let grid = Grid::start(&one).await;
    let (stop, n_answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flow = tokio::spawn({
        let (stop, n_answered, mut client) = (stop.clone(), n_answered.clone(), grid.client());
        async move {
            while !stop.load(Ordering::SeqCst) {
                let response =
                    client.infer(text_for(&["intent"])).await.expect("the grid answers").into_inner();
                assert!(response.complete, "{response:?}");
                n_answered.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    for _ in 0..5 {
        grid.write(&grid_file(&both));
        grid.until_ready("sentiment", true).await;
        assert_eq!(label(&grid.infer(text_for(&["sentiment"])).await.unwrap(), "sentiment"), "positive");
        grid.write(&grid_file(&one));
        grid.until(|experts| experts.len() == 1).await;
        assert_status(
            grid.infer(text_for(&["sentiment"])).await,
            Code::NotFound,
            "there is no expert `sentiment`",
        );
        let before = n_answered.load(Ordering::SeqCst);
        eventually("requests flow", || n_answered.load(Ordering::SeqCst) > before || flow.is_finished())
            .await;
    }
    stop.store(true, Ordering::SeqCst);
    flow.await.expect("no request was lost");
}

/// As a kubelet does it: the file is a link through a folder that is exchanged whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_config_map_is_read_again_when_it_is_exchanged() {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let grid = Grid::start_with(&[entry("intent", &intent)], |settings| {
        let folder = settings.grid_file.parent().expect("a folder");
        fs::create_dir(folder.join("..first")).expect("writable");
        symlink("..first", folder.join("..data")).expect("writable");
        symlink("..data/grid.toml", &settings.grid_file).expect("writable");
    })
    .await;
    grid.until_ready("intent", true).await;
    fs::create_dir(grid.path("..second")).expect("writable");
    fs::write(grid.path("..second/grid.toml"), grid_file(&[entry("sentiment", &sentiment)]))
        .expect("writable");
    symlink("..second", grid.path("..data.new")).expect("writable");
    fs::rename(grid.path("..data.new"), grid.path("..data")).expect("writable");
    fs::remove_dir_all(grid.path("..first")).expect("writable");
    grid.until_ready("sentiment", true).await;
    assert_eq!(label(&grid.infer(text_for(&["sentiment"])).await.unwrap(), "sentiment"), "positive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_grid_is_refused_and_the_old_one_serves() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    let mut control = control(&grid).await;
    let good = grid_file(&[entry("intent", &intent)]);
    for broken in ["", "nonsense", "[[expert]]\nname = \"In Tent\"\n"] {
        grid.write(broken);
        let refused = control.reload(ReloadRequest {}).await;
        assert_status(refused, Code::FailedPrecondition, "grid.toml");
        let status = control.status(StatusRequest {}).await.unwrap().into_inner();
        assert!(status.grid_refused.contains("grid.toml"), "{status:?}");
        assert_eq!(status.grid_generation, 1);
        assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");
    }
    assert_metric(&metrics(&grid).await, "nanogrid_grid_reload_refused_total", &[], "3");
    fs::remove_file(grid.path("grid.toml")).unwrap();
    assert_status(control.reload(ReloadRequest {}).await, Code::FailedPrecondition, "cannot be read");
    assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");

    grid.write(&good);
    let reloaded = control.reload(ReloadRequest {}).await.unwrap().into_inner();
    assert_eq!((reloaded.changed, reloaded.grid_generation), (false, 1), "the grid in use is the same");
    assert_eq!(control.status(StatusRequest {}).await.unwrap().into_inner().grid_refused, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_in_both_grids_keeps_its_connection() {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    grid.write(&grid_file(&[entry("intent", &intent), entry("sentiment", &sentiment)]));
    grid.until_ready("sentiment", true).await;
    assert_eq!(intent.n_connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_is_in_use() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    let status = control(&grid).await.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert!(status.grid_source.ends_with("grid.toml") && status.grid_sha256.len() == 64, "{status:?}");
    assert_eq!((status.grid_generation, status.requests_in_flight), (1, 0));
    assert_eq!(
        (status.classifier_version.as_str(), status.classifier_problem.as_str()),
        ("", "no classifier is configured")
    );
    assert!(status.started.is_some());
}
