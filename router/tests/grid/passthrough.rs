//! The Open Inference Protocol through the router.

use nanogrid_proto::inference::{
    ModelConfigRequest, ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelReadyRequest,
    ModelStatisticsRequest, RepositoryIndexRequest, RepositoryModelLoadRequest, ServerLiveRequest,
    ServerMetadataRequest, ServerReadyRequest,
};
use nanogrid_testkit::expert::{Behaviour, Profile, Reply, ScriptedExpert};
use tonic::{Code, Status};

use crate::support::*;

async fn two() -> (ScriptedExpert, ScriptedExpert, Grid) {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let grid = Grid::start(&[entry("intent", &intent), entry("sentiment", &sentiment)]).await;
    (intent, sentiment, grid)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_pass_unchanged() {
    let (intent, sentiment, grid) = two().await;
    let answer = ModelInferResponse {
        model_name: "intent".to_owned(),
        model_version: "1".to_owned(),
        id: "as the expert likes".to_owned(),
        raw_output_contents: vec![bytes::Bytes::from_static(b"anything")],
        ..Default::default()
    };
    intent.behave(Reply::Message(Box::new(answer.clone())).into());
    let message = rows_for("intent", &["one", "two"]);
    let response = grid.oip().model_infer(message.clone()).await.unwrap();
    assert_eq!(response.metadata().get("x-nanogrid-expert").unwrap(), "intent");
    assert_eq!(response.metadata().get("x-nanogrid-version").unwrap(), "1");
    assert_eq!(response.into_inner(), answer);
    let seen = intent.seen().pop().unwrap().message;
    assert_eq!(seen, ModelInferRequest { model_version: "1".to_owned(), ..message });
    assert_eq!(sentiment.n_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_version_chooses_the_endpoint() {
    let stable = labels("intent", "stable");
    let canary = ScriptedExpert::start(
        Profile::of("intent", 2, "text-classification"),
        Behaviour::labels(&[("canary", 0.9)]),
    );
    let versions = vec![(1, 100, vec![stable.address()]), (2, 0, vec![canary.address()])];
    let grid = Grid::start(&[entry("intent", &stable).versions(versions)]).await;
    let ask = async |version: &str| {
        let message = ModelInferRequest { model_version: version.to_owned(), ..rows_for("intent", &["one"]) };
        grid.oip().model_infer(message).await.map(|response| response.into_inner().model_version)
    };
    assert_eq!(ask("").await.unwrap(), "1", "all the weight");
    assert_eq!(ask("2").await.unwrap(), "2");
    assert_eq!((stable.n_calls(), canary.n_calls()), (1, 1));
    assert_status(ask("3").await, Code::NotFound, "expert `intent` has no version `3`: choose from `1`, `2`");
    assert_status(ask("two").await, Code::InvalidArgument, "model_version: must be a positive integer");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_of_experts_stay_and_name_the_expert() {
    let (mut intent, _sentiment, grid) = two().await;
    let mut shed = Status::resource_exhausted("queue full");
    shed.metadata_mut().insert("grpc-retry-pushback-ms", "25".parse().unwrap());
    let table = [
        shed,
        Status::invalid_argument("wrong shape"),
        Status::internal("broken"),
        Status::unimplemented("not this"),
        Status::not_found("no such output"),
    ];
    for status in table {
        intent.behave(Behaviour::fails(status.clone()));
        let actual = grid.oip().model_infer(rows_for("intent", &["one"])).await.unwrap_err();
        assert_eq!(actual.code(), status.code());
        assert!(actual.message().starts_with("expert `intent`: "), "{actual:?}");
        assert!(actual.message().ends_with(status.message()), "{actual:?}");
        let pushback = |status: &Status| status.metadata().get("grpc-retry-pushback-ms").cloned();
        assert_eq!(pushback(&actual), pushback(&status));
    }
    intent.kill();
    grid.until_ready("intent", false).await;
    let dead = grid.oip().model_infer(rows_for("intent", &["one"])).await;
    assert_status(dead, Code::Unavailable, "expert `intent`: version 1: no endpoint is ready");
    let unknown = grid.oip().model_infer(rows_for("weather", &["one"])).await;
    assert_status(
        unknown,
        Code::NotFound,
        "there is no expert `weather` in this grid: choose from `intent`, `sentiment`",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeout_of_the_client_holds() {
    let (intent, _sentiment, grid) = two().await;
    intent.behave(Behaviour::hangs());
    let mut request = tonic::Request::new(rows_for("intent", &["one"]));
    // The reserve for the way back is a share of it: seconds, so that a busy machine does not eat it up.
    request.metadata_mut().insert("grpc-timeout", "2S".parse().unwrap());
    // The client's own timer would say CANCELLED at the same moment; the router answers a little earlier.
    assert_status(
        grid.oip().model_infer(request).await,
        Code::DeadlineExceeded,
        "expert `intent`: no answer within",
    );
    eventually("the expert is told to stop", || intent.n_dropped() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grid_describes_itself() {
    let (intent, mut sentiment, grid) = two().await;
    let mut oip = grid.oip();
    assert!(oip.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(oip.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let server = oip.server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    assert_eq!(server.name, "nanogrid-router");
    assert!(server.extensions.iter().any(|extension| extension == "statistics"));

    let named = |name: &str| ModelMetadataRequest { name: name.to_owned(), version: String::new() };
    let metadata = oip.model_metadata(named("intent")).await.unwrap().into_inner();
    assert_eq!((metadata.name.as_str(), &metadata.versions[..]), ("intent", &["1".to_owned()][..]));
    assert_eq!(metadata.platform, "scripted", "as the expert says");
    assert_eq!(oip.model_metadata(named("auto")).await.unwrap().into_inner().inputs[0].name, "text");
    assert_status(oip.model_metadata(named("weather")).await, Code::NotFound, "there is no expert `weather`");

    let config = ModelConfigRequest { name: "intent".to_owned(), version: String::new() };
    assert_eq!(oip.model_config(config).await.unwrap().into_inner().config.unwrap().max_batch_size, 32);

    sentiment.kill();
    grid.until_ready("sentiment", false).await;
    let ready = async |name: &str, version: &str| {
        let request = ModelReadyRequest { name: name.to_owned(), version: version.to_owned() };
        grid.oip().model_ready(request).await.unwrap().into_inner().ready
    };
    assert!(ready("intent", "").await && ready("intent", "1").await);
    assert!(!ready("intent", "2").await && !ready("sentiment", "").await && !ready("weather", "").await);
    assert!(!ready("auto", "").await, "there is no classifier here");

    let index = oip.repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner().models;
    let states: Vec<_> = index.iter().map(|model| (model.name.as_str(), model.state.as_str())).collect();
    assert_eq!(states, [("intent", "READY"), ("sentiment", "UNAVAILABLE")]);
    assert!(index[1].reason.contains(&sentiment.address()), "{index:?}");
    let only_ready = RepositoryIndexRequest { ready: true, ..Default::default() };
    assert_eq!(oip.repository_index(only_ready).await.unwrap().into_inner().models.len(), 1);
    let load = oip.repository_model_load(RepositoryModelLoadRequest::default()).await;
    assert_status(load, Code::Unimplemented, "grid file");
    assert_eq!(intent.n_calls(), 0, "none of this was an inference");
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_summed_over_the_endpoints_that_tell() {
    let (one, two, mut dead) = (labels("intent", "one"), labels("intent", "two"), labels("intent", "dead"));
    let endpoints = vec![(1, 100, vec![one.address(), two.address(), dead.address()])];
    let grid = Grid::start(&[entry("intent", &one).versions(endpoints)]).await;
    dead.kill();
    grid.until(|experts| !experts[0].endpoints[2].ready).await;
    for _ in 0..20 {
        grid.oip().model_infer(rows_for("intent", &["one"])).await.unwrap();
    }
    for name in ["intent", ""] {
        let request = ModelStatisticsRequest { name: name.to_owned(), version: String::new() };
        let [statistics] = &grid.oip().model_statistics(request).await.unwrap().into_inner().model_stats[..]
        else {
            panic!("not one model");
        };
        assert_eq!((statistics.name.as_str(), statistics.version.as_str()), ("intent", "1"));
        assert_eq!(statistics.inference_count, 20);
    }
}
