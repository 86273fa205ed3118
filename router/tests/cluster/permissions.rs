//! What the manifests allow a router is enough, and little more.

use std::{fs, path::Path};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use nanogrid_proto::v1::{RolloutChange, RolloutPhase};
use serde::de::DeserializeOwned;
use serde_json::json;
use tonic::Code;

use crate::{api_server::ApiServer, routers::*, support::assert_status};

fn manifest<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/base/router").join(name);
    let text = fs::read_to_string(&path).expect("it is there");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A token of the router's service account in this namespace, where `role` is what it may do.
async fn token(namespace: &str, role: Role) -> String {
    let client = ApiServer::get().client(namespace, None).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let (roles, bindings) = (
        Api::<Role>::namespaced(client.clone(), namespace),
        Api::<RoleBinding>::namespaced(client, namespace),
    );
    let parameters = PostParams::default();
    accounts.create(&parameters, &manifest("service-account.yaml")).await.unwrap();
    roles.create(&parameters, &role).await.unwrap();
    let mut binding: RoleBinding = manifest("role-binding.yaml");
    // As kustomize does it.
    binding.subjects.iter_mut().flatten().for_each(|subject| subject.namespace = Some(namespace.to_owned()));
    bindings.create(&parameters, &binding).await.unwrap();
    let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let answer = accounts.create_token_request("router", &parameters, &request).await.unwrap();
    answer.status.expect("a token").token
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_with_the_role_of_the_manifests_do_everything_together() {
    let cluster = Cluster::start(transfer()).await;
    let token = token(&cluster.namespace, manifest("role.yaml")).await;
    let mut leader = cluster.router_of(Some(&token)).await;
    leader.until_it_decides().await;
    let mut follower = cluster.router_of(Some(&token)).await;
    leader.operator.start(plan(&[5_000, 10_000], 100)).await.unwrap();
    follower.operator.until(|now| now.weight == 5_000).await;
    follower.operator.change(RolloutChange::Pause).await.unwrap();
    leader.operator.until(|now| now.phase() == RolloutPhase::Paused).await;
    follower.ask(50).await;
    leader.operator.until(|now| n_seen(now) > 0).await;
    leader.operator.change(RolloutChange::Promote).await.unwrap();
    follower.operator.until(|now| now.phase() == RolloutPhase::Promoted).await;
    drop(leader);
    follower.until_it_decides().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_the_manifests_does_not_let_a_router_change_anything_else() {
    let namespace = ApiServer::get().namespace().await;
    let token = token(&namespace, manifest("role.yaml")).await;
    let client = ApiServer::get().client(&namespace, Some(&token)).await;
    let objects: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    for name in ["grid", "router-settings"] {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        let admin = ApiServer::get().client(&namespace, None).await;
        let admin: Api<ConfigMap> = Api::namespaced(admin, &namespace);
        admin.create(&PostParams::default(), &object).await.unwrap();
        let patch = Patch::Merge(json!({ "data": { "grid.toml": "" } }));
        let refused = objects.patch(name, &PatchParams::default(), &patch).await.unwrap_err();
        assert!(matches!(&refused, kube::Error::Api(status) if status.is_forbidden()), "{refused}");
        let refused = objects.delete(name, &kube::api::DeleteParams::default()).await.unwrap_err();
        assert!(matches!(&refused, kube::Error::Api(status) if status.is_forbidden()), "{refused}");
    }
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(client, &namespace);
    let refused = secrets.list(&kube::api::ListParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_forbidden()), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_the_role_forgets_is_refused_with_what_is_lacking() {
    let cluster = Cluster::start(transfer()).await;
    let mut role: Role = manifest("role.yaml");
    let names = role.rules.iter_mut().flatten().filter_map(|rule| rule.resource_names.as_mut());
    names.for_each(|names| names.retain(|name| name != "rollouts-intent"));
    let token = token(&cluster.namespace, role).await;
    let mut router = cluster.router_of(Some(&token)).await;
    let refused = router.operator.start(plan(&[5_000, 10_000], 100)).await;
    assert_status(refused, Code::FailedPrecondition, "configmaps \"rollouts-intent\" is forbidden");
}
