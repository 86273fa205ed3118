//! Routers of one cluster, with the same experts.

use std::{collections::BTreeSet, fs, time::Duration};

use futures::{
    StreamExt,
    future::{join, join_all, ready},
    stream,
};
use nanogrid_proto::v1::{
    ChangeRolloutRequest, InferRequest, ListRolloutsRequest, Rollout, RolloutChange, RolloutDecision,
    RolloutHistoryRequest, RolloutPhase, StartRolloutRequest, control_client::ControlClient,
};
use nanogrid_settings::{KubernetesSettings, RolloutHome};
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tokio::time::Instant;
use tonic::{Status, transport::Channel};

pub(crate) use crate::support::plan;
use crate::{api_server::ApiServer, link::Link, support::*};

/// Longer than any of this takes where eight builds share two cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const N_CLIENTS: usize = 8;

/// `intent` in versions 1, which has all the traffic, and 2, which has none yet; and a namespace.
pub(crate) struct Cluster {
    pub(crate) stable: ScriptedExpert,
    pub(crate) canary: ScriptedExpert,
    pub(crate) namespace: String,
    /// How long a Lease lasts.
    pub(crate) lease: Duration,
}

/// One of several, with its own way to the API.
pub(crate) struct Router {
    pub(crate) grid: Grid,
    pub(crate) operator: Operator,
    pub(crate) link: Link,
}

/// Somebody who looks at a router's rollout and changes it.
#[derive(Clone)]
pub(crate) struct Operator(ControlClient<Channel>);

fn version(number: u32, behaviour: Behaviour) -> ScriptedExpert {
    ScriptedExpert::start(Profile::of("intent", number, "text-classification"), behaviour)
}

pub(crate) fn transfer() -> Behaviour {
    Behaviour::labels(&[("transfer", 0.9)])
}

impl Cluster {
    pub(crate) async fn start(canary: Behaviour) -> Self {
        let namespace = ApiServer::get().namespace().await;
        let lease = Duration::from_secs(4);
        Self { stable: version(1, transfer()), canary: version(2, canary), namespace, lease }
    }

    /// One more, by whoever has this token.
    pub(crate) async fn router_of(&self, token: Option<&str>) -> Router {
        self.router_over(Link::to(ApiServer::get().address()).await, token).await
    }

    /// One more that does not reach the API yet.
    pub(crate) async fn router_that_starts_alone(&self) -> Router {
        let link = Link::to(ApiServer::get().address()).await;
        link.cut();
        self.router_over(link, None).await
    }

    async fn router_over(&self, link: Link, token: Option<&str>) -> Router {
        let server = ApiServer::get();
        let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
        fs::write(kubeconfig.path(), server.kubeconfig(link.address(), &self.namespace, token))
            .expect("written");
        let versions = vec![(1, 100, vec![self.stable.address()]), (2, 0, vec![self.canary.address()])];
        let settings = KubernetesSettings {
            kubeconfig: Some(kubeconfig.path().to_owned()),
            lease_duration: self.lease,
            renew_deadline: self.lease * 3 / 4,
            retry_period: Duration::from_millis(200),
            ..KubernetesSettings::default()
        };
        let grid = Grid::start_with(&[entry("intent", &self.stable).versions(versions)], |router| {
            router.rollouts = RolloutHome::Kubernetes(settings);
            router.rollout_tick = Duration::from_millis(50);
        })
        .await;
        grid.until(|experts| experts[0].endpoints.iter().all(|endpoint| endpoint.ready)).await;
        let operator = Operator(grid.control().await);
        Router { grid, operator, link }
    }

    pub(crate) async fn router(&self) -> Router {
        self.router_of(None).await
    }

    /// Two, of which the first decides.
    pub(crate) async fn leader_and_follower(&self) -> (Router, Router) {
        let leader = self.router().await;
        leader.until_it_decides().await;
        (leader, self.router().await)
    }
}

impl Operator {
    pub(crate) async fn start(&mut self, plan: StartRolloutRequest) -> Result<Rollout, Status> {
        self.0.start_rollout(plan).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn change(&mut self, change: RolloutChange) -> Result<Rollout, Status> {
        let request = ChangeRolloutRequest { expert: "intent".to_owned(), change: change.into() };
        self.0.change_rollout(request).await.map(tonic::Response::into_inner)
    }

    /// As this router knows it, if it does.
    pub(crate) async fn rollout(&mut self) -> Option<Rollout> {
        let list = self.0.list_rollouts(ListRolloutsRequest::default()).await.unwrap().into_inner();
        list.rollouts.into_iter().next()
    }

    /// Newest first.
    pub(crate) async fn history(&mut self) -> Vec<RolloutDecision> {
        let request = RolloutHistoryRequest { expert: "intent".to_owned(), limit: 0 };
        self.0.rollout_history(request).await.unwrap().into_inner().decisions
    }

    /// Waits until its rollout is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Rollout) -> bool) -> Rollout {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.rollout().await;
            if let Some(now) = now.as_ref().filter(|now| wanted(now)) {
                return now.clone();
            }
            assert!(Instant::now() < deadline, "still not as wanted: {now:#?}");
            tick().await;
        }
    }
}

impl Router {
    pub(crate) async fn until_it_decides(&self) {
        self.until_metric("nanogrid_rollout_leader 1").await;
    }

    /// Waits for a line of its metrics.
    pub(crate) async fn until_metric(&self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !metrics(&self.grid).await.lines().any(|line| line == wanted) {
            assert!(Instant::now() < deadline, "never: {wanted}");
            tick().await;
        }
    }

    /// Asks so many times, and is answered in full each time.
    pub(crate) async fn ask(&self, n: usize) {
        let client = async |n: usize| {
            for _ in 0..n {
                let answer = self.grid.infer(text_for(&["intent"])).await.expect("an answer");
                assert!(answer.missing.is_empty(), "{:?}", answer.missing);
            }
        };
        let share = |idx| (n + idx) / N_CLIENTS;
        join_all((0..N_CLIENTS).map(|idx| client(share(idx)))).await;
    }

    /// Asks without a pause until `done`.
    pub(crate) async fn ask_while<T>(&self, done: impl Future<Output = T>) -> T {
        let done = async { Some(done.await) };
        let ask = async {
            loop {
                self.ask(N_CLIENTS).await;
            }
        };
        tokio::select! {
            Some(value) = done => value,
            () = ask => unreachable!("it asks for ever"),
        }
    }

    /// Of these keys, those that get the canary.
    pub(crate) async fn who_has_it(&self, keys: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let has_it = async |key: u32| {
            let request = InferRequest { sticky_key: format!("user-{key}"), ..text_for(&["intent"]) };
            let answer = self.grid.infer(request).await.expect("an answer");
            (outcome_of(&answer, "intent").version == "2").then_some(key)
        };
        let asked = stream::iter(keys).map(has_it).buffer_unordered(N_CLIENTS);
        asked.filter_map(ready).collect().await
    }
}

/// Waits until both know the same as wanted.
pub(crate) async fn both(a: &Router, b: &Router, wanted: impl Fn(&Rollout) -> bool) -> (Rollout, Rollout) {
    let (mut at_a, mut at_b) = (a.operator.clone(), b.operator.clone());
    join(at_a.until(&wanted), at_b.until(&wanted)).await
}

pub(crate) fn is_over(rollout: &Rollout) -> bool {
    !matches!(rollout.phase(), RolloutPhase::Running | RolloutPhase::Paused)
}

/// Requests of this step that anybody has seen.
pub(crate) fn n_seen(rollout: &Rollout) -> u64 {
    let errors = &rollout.metrics[0];
    errors.stable_requests + errors.canary_requests
}
