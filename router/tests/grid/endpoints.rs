//! Endpoints that come, go, and are not what they should be.

use nanogrid_proto::v1::{EndpointState, Expert, PackageInfo};
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert, digest};
use tonic::Status;

use crate::support::*;

fn only_endpoint(experts: &[nanogrid_proto::v1::Expert]) -> &nanogrid_proto::v1::Endpoint {
    &experts[0].endpoints[0]
}

/// An expert that is `profile`, in a grid that wants something else there.
async fn refused(profile: Profile, words: &str) {
    let expert = ScriptedExpert::start(profile, Behaviour::labels(&[("transfer", 0.9)]));
    let grid = Grid::start_with(&[entry("intent", &expert)], |_| {}).await;
    let experts = grid.until(|experts| only_endpoint(experts).state() == EndpointState::Refused).await;
    let reason = &only_endpoint(&experts).reason;
    assert!(reason.contains(words), "{reason}");
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    assert!(missing(&response).2.contains("refused"), "{response:?}");
    assert_eq!(expert.n_calls(), 0);
    // It becomes what it should be, as at the end of a rollout, and is used without anyone's help.
    expert.be(Profile::of("intent", 1, "text-classification"));
    grid.until_ready("intent", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_expert_is_used_again_when_it_is_back_on_its_port() {
    let mut intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    for _ in 0..3 {
        intent.kill();
        grid.until_ready("intent", false).await;
        assert!(!grid.infer(text_for(&["intent"])).await.unwrap().complete);
        intent.restart();
        grid.until_ready("intent", true).await;
        assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_that_starts_after_the_router_is_found() {
    let mut intent = labels("intent", "transfer");
    intent.kill();
    let grid = Grid::start_with(&[entry("intent", &intent)], |_| {}).await;
    let experts = grid.until(|experts| only_endpoint(experts).state() == EndpointState::Connecting).await;
    assert!(!experts[0].ready);
    intent.restart();
    grid.until_ready("intent", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_that_says_it_does_not_serve_is_not_asked() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    intent.set_serving(false);
    let experts = grid.until(|experts| only_endpoint(experts).state() == EndpointState::NotServing).await;
    assert!(only_endpoint(&experts).reason.contains("does not serve"), "{experts:?}");
    assert!(!grid.infer(text_for(&["intent"])).await.unwrap().complete);
    assert_eq!(intent.n_calls(), 0);
    intent.set_serving(true);
    grid.until_ready("intent", true).await;
    assert!(grid.infer(text_for(&["intent"])).await.unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expert_that_still_loads_is_waited_for_and_not_refused() {
    let ready = Profile::of("intent", 1, "text-classification");
    let mut loading = ready.clone();
    let package =
        PackageInfo { ready: false, task: String::new(), model_sha256: String::new(), ..Default::default() };
    loading.packages = vec![PackageInfo { name: "intent".to_owned(), version: "1".to_owned(), ..package }];
    let intent = ScriptedExpert::start(loading.clone(), Behaviour::labels(&[("transfer", 0.9)]));
    let grid = Grid::start_with(&[entry("intent", &intent)], |_| {}).await;
    let of = |experts: &[Expert], reason: &str| {
        let endpoint = only_endpoint(experts);
        assert_ne!(endpoint.state(), EndpointState::Refused, "{endpoint:?}");
        endpoint.state() == EndpointState::NotServing && endpoint.reason == reason
    };
    grid.until(|experts| of(experts, "it is loading")).await;
    loading.packages[0].reason = "model.onnx: sha256 differs".to_owned();
    intent.be(loading);
    grid.until(|experts| of(experts, "model.onnx: sha256 differs")).await;
    intent.be(ready);
    grid.until_ready("intent", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_endpoint_takes_over() {
    let (mut one, two) = (labels("intent", "one"), labels("intent", "two"));
    let endpoints = vec![(1, 100, vec![one.address(), two.address()])];
    let grid = Grid::start(&[entry("intent", &one).versions(endpoints)]).await;
    one.kill();
    grid.until(|experts| !experts[0].endpoints[0].ready).await;
    for _ in 0..20 {
        assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "two");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_endpoints_share_the_calls() {
    let (one, two) = (labels("intent", "one"), labels("intent", "two"));
    let endpoints = vec![(1, 100, vec![one.address(), two.address()])];
    let grid = Grid::start(&[entry("intent", &one).versions(endpoints)]).await;
    for _ in 0..64 {
        grid.infer(text_for(&["intent"])).await.unwrap();
    }
    assert_eq!(one.n_calls() + two.n_calls(), 64);
    // With 64 fair coins, less than 8 on one side come up once in a billion.
    assert!(one.n_calls() >= 8 && two.n_calls() >= 8, "{} and {}", one.n_calls(), two.n_calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_expert_at_the_address_is_refused() {
    let words = "the grid file wants `intent` version 1 here, and it serves `topic` version 1";
    refused(Profile::of("topic", 1, "text-classification"), words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_at_the_address_is_refused() {
    let words = "the grid file wants `intent` version 1 here, and it serves `intent` version 2";
    refused(Profile::of("intent", 2, "text-classification"), words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_task_at_the_address_is_refused() {
    let words = "says that `intent` version 1 does `text-classification`, and it does `embedding`";
    refused(Profile::of("intent", 1, "embedding"), words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_at_the_address_is_refused_until_the_right_one_is_there() {
    let mut profile = Profile::of("intent", 1, "text-classification");
    profile.packages[0].model_sha256 = digest("other", 1);
    let mut intent = ScriptedExpert::start(profile, Behaviour::labels(&[("transfer", 0.9)]));
    let grid = Grid::start_with(&[entry("intent", &intent)], |_| {}).await;
    let (right, other) = (digest("intent", 1), digest("other", 1));
    let file = grid_file(&[entry("intent", &intent)]);
    grid.write(&file.replace("endpoints", &format!("model-sha256 = \"{right}\"\nendpoints")));
    let experts = grid
        .until(|experts| !experts.is_empty() && only_endpoint(experts).state() == EndpointState::Refused)
        .await;
    let reason = &only_endpoint(&experts).reason;
    assert!(reason.contains(&right) && reason.contains(&other), "{reason}");
    intent.be(Profile::of("intent", 1, "text-classification"));
    intent.restart();
    let experts = grid.until(|experts| experts[0].ready).await;
    assert_eq!(experts[0].versions[0].model_sha256, right);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_server_of_the_protocol_can_be_an_expert() {
    let foreign = |has_health| Profile {
        has_info: false,
        has_health,
        ..Profile::of("intent", 1, "text-classification")
    };
    for has_health in [true, false] {
        let mut intent = ScriptedExpert::start(foreign(has_health), Behaviour::labels(&[("transfer", 0.9)]));
        let grid = Grid::start(&[entry("intent", &intent)]).await;
        assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");
        intent.set_serving(false);
        grid.until_ready("intent", false).await;
        intent.set_serving(true);
        grid.until_ready("intent", true).await;
        intent.kill();
        grid.until_ready("intent", false).await;
    }
    let profile = Profile { has_info: false, ..Profile::of("topic", 1, "text-classification") };
    let expert = ScriptedExpert::start(profile, Behaviour::labels(&[("transfer", 0.9)]));
    let grid = Grid::start_with(&[entry("intent", &expert)], |_| {}).await;
    let experts = grid.until(|experts| only_endpoint(experts).state() == EndpointState::Refused).await;
    assert!(only_endpoint(&experts).reason.contains("does not know `intent`"), "{experts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_call_does_not_make_the_endpoint_unready() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    intent.behave(Behaviour::fails(Status::internal("broken")));
    assert!(!grid.infer(text_for(&["intent"])).await.unwrap().complete);
    grid.until_ready("intent", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_tells_pid_memory_and_digest() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent).more("title = \"what a user wants\"")]).await;
    let experts = grid.until(|experts| experts[0].ready).await;
    let expert = &experts[0];
    assert_eq!((expert.name.as_str(), expert.task.as_str()), ("intent", "text-classification"));
    assert_eq!((expert.title.as_str(), expert.ready), ("what a user wants", true));
    assert_eq!(expert.versions[0].version, "1");
    assert_eq!(
        (expert.versions[0].weight, expert.versions[0].model_sha256.clone()),
        (10_000, digest("intent", 1))
    );
    let endpoint = &expert.endpoints[0];
    assert_eq!((endpoint.address.clone(), endpoint.state()), (intent.address(), EndpointState::Ready));
    assert_eq!((endpoint.pid, endpoint.memory), (std::process::id(), 1 << 20));
    assert_eq!(endpoint.reason, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_share_by_weight_key_and_override() {
    let stable = labels("intent", "stable");
    let canary = ScriptedExpert::start(
        Profile::of("intent", 2, "text-classification"),
        Behaviour::labels(&[("canary", 0.9)]),
    );
    let versions = vec![(1, 50, vec![stable.address()]), (2, 50, vec![canary.address()])];
    let grid = Grid::start(&[entry("intent", &stable).versions(versions)]).await;
    let ask = async |key: &str, version: Option<&'static str>| {
        let message =
            nanogrid_proto::v1::InferRequest { sticky_key: key.to_owned(), ..text_for(&["intent"]) };
        let mut request = tonic::Request::new(message);
        if let Some(version) = version {
            request.metadata_mut().insert("x-nanogrid-version", version.parse().unwrap());
        }
        let response = grid.client().infer(request).await.unwrap().into_inner();
        (label(&response, "intent").to_owned(), outcome_of(&response, "intent").version.clone())
    };
    let mut seen = std::collections::HashSet::new();
    for key in ["anna", "ben", "carl", "dora", "emil", "fritz", "gerda", "hans", "ida", "jan"] {
        let first = ask(key, None).await;
        assert_eq!(ask(key, None).await, first, "{key} sees one version");
        seen.insert(first.1);
    }
    assert_eq!(seen.len(), 2, "both versions are seen");
    assert_eq!(ask("anna", Some("2")).await, ("canary".to_owned(), "2".to_owned()));
    assert_eq!(ask("anna", Some("1")).await, ("stable".to_owned(), "1".to_owned()));
}
