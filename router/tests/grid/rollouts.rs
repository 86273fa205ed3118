//! New versions are tried, and those that are worse are taken back, while clients notice nothing.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::{join, join_all};
use nanogrid_proto::{
    tensor::{Data, Tensor},
    v1::{
        ChangeRolloutRequest, InferRequest, ListDisagreementsRequest, ListRolloutsRequest, Rollout,
        RolloutChange, RolloutHistoryRequest, RolloutPhase, StartRolloutRequest,
        control_client::ControlClient,
    },
};
use nanogrid_settings::RolloutHome;
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tokio::time::Instant;
use tonic::{Code, Status, transport::Channel};

use crate::support::*;

/// `intent` in versions 1, which has all the traffic, and 2, which has none yet.
struct Two {
    stable: ScriptedExpert,
    canary: ScriptedExpert,
}

fn version(number: u32, behaviour: Behaviour) -> ScriptedExpert {
    ScriptedExpert::start(Profile::of("intent", number, "text-classification"), behaviour)
}

fn transfer() -> Behaviour {
    Behaviour::labels(&[("transfer", 0.9)])
}

impl Two {
    fn start(canary: Behaviour) -> Self {
        Self { stable: version(1, transfer()), canary: version(2, canary) }
    }

    fn entry(&self) -> Entry {
        let versions = vec![(1, 100, vec![self.stable.address()]), (2, 0, vec![self.canary.address()])];
        entry("intent", &self.stable).versions(versions)
    }

    async fn grid(&self) -> (Grid, ControlClient<Channel>) {
        let grid = Grid::start(&[self.entry()]).await;
        let control = grid.control().await;
        (grid, control)
    }
}

/// More requests than anybody sends here: no step is left for having seen enough.
const NEVER: u64 = 1_000_000;

async fn rollout(control: &mut ControlClient<Channel>) -> Rollout {
    let list = control.list_rollouts(ListRolloutsRequest::default()).await.unwrap().into_inner();
    list.rollouts.into_iter().next().expect("one was started")
}

/// Longer than any of this takes where eight builds share two cores.
const PATIENCE: Duration = Duration::from_secs(120);
const N_CLIENTS: usize = 16;

/// Asks without a pause until the rollout is as wanted. Every request is answered in full.
async fn ask_until(
    grid: &Grid,
    control: &mut ControlClient<Channel>,
    wanted: impl Fn(&Rollout) -> bool,
) -> Rollout {
    let done = AtomicBool::new(false);
    let client = async || {
        while !done.load(Ordering::Relaxed) {
            let answer = grid.infer(text_for(&["intent"])).await.expect("an answer");
            assert!(answer.missing.is_empty(), "{:?}", answer.missing);
        }
    };
    let clients = join_all((0..N_CLIENTS).map(|_| client()));
    join(clients, until(control, wanted, &done)).await.1
}

async fn until(
    control: &mut ControlClient<Channel>,
    wanted: impl Fn(&Rollout) -> bool,
    done: &AtomicBool,
) -> Rollout {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = rollout(control).await;
        if wanted(&now) || Instant::now() > deadline {
            done.store(true, Ordering::Relaxed);
            assert!(wanted(&now), "still not as wanted: {now:#?}");
            return now;
        }
        tick().await;
    }
}

fn is_over(rollout: &Rollout) -> bool {
    !matches!(rollout.phase(), RolloutPhase::Running | RolloutPhase::Paused)
}

/// Runs it to its end: taken back, for this reason, and never with an answer lost.
async fn assert_taken_back(
    two: &Two,
    plan: StartRolloutRequest,
    words: &str,
) -> (Grid, ControlClient<Channel>) {
    let (grid, mut control) = two.grid().await;
    control.start_rollout(plan).await.unwrap();
    let end = ask_until(&grid, &mut control, is_over).await;
    assert_eq!(end.phase(), RolloutPhase::RolledBack, "{end:#?}");
    assert!(end.why.contains(words), "`{words}` is not in: {}", end.why);
    assert_eq!(end.weight, 0);
    let before = two.canary.n_calls();
    for _ in 0..20 {
        assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");
    }
    assert_eq!(two.canary.n_calls(), before, "nobody gets it any more");
    (grid, control)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_is_refused_with_the_reason() {
    let mut two = Two::start(transfer());
    let (grid, mut control) = two.grid().await;
    let mut refused = async |change: &dyn Fn(&mut StartRolloutRequest), code, words| {
        let mut request = plan(&[100, 10_000], 1);
        change(&mut request);
        assert_status(control.start_rollout(request).await, code, words);
    };
    refused(&|plan| plan.expert = "nobody".to_owned(), Code::NotFound, "there is no expert `nobody`").await;
    refused(&|plan| plan.canary = "3".to_owned(), Code::NotFound, "version").await;
    refused(&|plan| plan.canary = "two".to_owned(), Code::InvalidArgument, "must be a version such as `2`")
        .await;
    refused(&|plan| plan.canary = "1".to_owned(), Code::InvalidArgument, "another version than the stable")
        .await;
    refused(&|plan| plan.steps[1].weight = 9_000, Code::InvalidArgument, "end with 10000").await;
    refused(&|plan| plan.alpha = 2.0, Code::InvalidArgument, "alpha").await;
    two.canary.kill();
    grid.until(|experts| experts[0].endpoints.iter().any(|endpoint| !endpoint.ready)).await;
    refused(&|_| {}, Code::FailedPrecondition, "version 2 is not ready").await;
    two.canary.restart();
    grid.until(|experts| experts[0].endpoints.iter().all(|endpoint| endpoint.ready)).await;
    control.start_rollout(plan(&[100, 10_000], 1_000)).await.unwrap();
    let double = control.start_rollout(plan(&[100, 10_000], 1_000)).await;
    assert_status(double, Code::FailedPrecondition, "has a rollout already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_gets_everybody_by_itself() {
    let two = Two::start(transfer());
    let (grid, mut control) = two.grid().await;
    control.start_rollout(plan(&[5_000, 10_000], 500)).await.unwrap();
    let end = ask_until(&grid, &mut control, is_over).await;
    assert_eq!((end.phase(), end.weight), (RolloutPhase::Promoted, 10_000), "{end:#?}");
    let answer = grid.infer(text_for(&["intent"])).await.unwrap();
    assert_eq!(outcome_of(&answer, "intent").version, "2");
    let request = RolloutHistoryRequest { expert: "intent".to_owned(), limit: 0 };
    let history = control.rollout_history(request).await.unwrap().into_inner().decisions;
    assert_eq!(
        history.iter().map(|decision| decision.verdict.as_str()).collect::<Vec<_>>(),
        ["advance", "start"]
    );
    let record: nanogrid_rollout::Decision = serde_json::from_str(&history[0].record).expect("a record");
    assert_eq!(record.replay(), record.verdict, "anybody can take it again");

    // What it decided stands until somebody writes other weights.
    let [address, new] = [&two.stable, &two.canary].map(|expert| vec![expert.address()]);
    grid.write(&grid_file(&[entry("intent", &two.stable).versions(vec![(1, 90, address), (2, 10, new)])]));
    grid.until(|experts| experts[0].versions[1].weight == 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_errs_is_taken_back_and_no_client_sees_it() {
    let two = Two::start(Behaviour::fails(Status::internal("a bug")));
    assert_taken_back(&two, plan(&[2_000, 10_000], NEVER), "the canary").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_slow_is_taken_back() {
    let two = Two::start(transfer().after(Duration::from_millis(150)));
    let plan = StartRolloutRequest { slow_from: None, ..plan(&[5_000, 10_000], NEVER) };
    assert_taken_back(&two, plan, "slow answers fall on the canary too often").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_answers_otherwise_is_taken_back_before_anybody_gets_its_answers() {
    let two = Two::start(Behaviour::labels(&[("balance", 0.9)]));
    let (_grid, mut control) =
        assert_taken_back(&two, plan(&[0, 10_000], NEVER), "other answers fall on the canary too often")
            .await;
    let request = ListDisagreementsRequest { expert: "intent".to_owned(), limit: 1 };
    let list = control.list_disagreements(request).await.unwrap().into_inner().disagreements;
    let [disagreement] = &list[..] else { panic!("not one: {list:?}") };
    assert_eq!((disagreement.stable.as_str(), disagreement.canary.as_str()), ("1", "2"));
    assert!(disagreement.payload.is_empty(), "what clients send is not kept unless that is allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_number_ends_it_at_once() {
    let two = Two::start(Behaviour::labels(&[("transfer", f32::NAN)]));
    assert_taken_back(&two, plan(&[0, 10_000], NEVER), "the canary gave an answer that is none").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_another_task_end_it_at_once() {
    let score = Tensor { name: "mask".to_owned(), shape: vec![1], data: Data::F32(vec![1.0]) };
    let two = Two::start(Behaviour::tensors(vec![score]));
    assert_taken_back(&two, plan(&[0, 10_000], NEVER), "the canary gave an answer that is none").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_turns_out_to_be_another_one_is_taken_back() {
    let mut two = Two::start(transfer());
    let (grid, mut control) = two.grid().await;
    // In the shadow: calls that meet it while it restarts would convict it first.
    control.start_rollout(plan(&[0, 10_000], NEVER)).await.unwrap();
    two.canary.be(Profile::of("intent", 3, "text-classification"));
    two.canary.restart();
    let end = ask_until(&grid, &mut control, is_over).await;
    assert_eq!(end.phase(), RolloutPhase::RolledBack, "{end:#?}");
    assert!(end.why.contains("the canary is not what it should be"), "{}", end.why);
}

fn keyed(key: u32) -> InferRequest {
    InferRequest { sticky_key: format!("user-{key}"), ..text_for(&["intent"]) }
}

/// The keys, of these many, that get the canary.
async fn who_has_it(grid: &Grid, n_keys: u32) -> HashSet<u32> {
    let answers = join_all((0..n_keys).map(|key| grid.infer(keyed(key)))).await;
    let versions = answers.into_iter().map(|answer| outcome_of(&answer.unwrap(), "intent").version.clone());
    (0..n_keys).zip(versions).filter(|(_, version)| version == "2").map(|(key, _)| key).collect()
}

async fn change(control: &mut ControlClient<Channel>, change: RolloutChange) -> Rollout {
    let request = ChangeRolloutRequest { expert: "intent".to_owned(), change: change.into() };
    control.change_rollout(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_new_version_keeps_it_until_the_end() {
    const N_KEYS: u32 = 400;
    let two = Two::start(transfer());
    let (grid, mut control) = two.grid().await;
    control.start_rollout(plan(&[0, 500, 2_500, 5_000, 10_000], NEVER)).await.unwrap();
    let mut before = HashSet::new();
    for weight in [0, 500, 2_500, 5_000, 10_000] {
        assert_eq!(rollout(&mut control).await.weight, weight);
        let now = who_has_it(&grid, N_KEYS).await;
        assert!(now.is_superset(&before), "somebody lost it at {weight}");
        let expected = N_KEYS * weight / 10_000;
        assert!(expected.abs_diff(now.len() as u32) <= N_KEYS / 8, "{} instead of {expected}", now.len());
        assert_eq!(now, who_has_it(&grid, N_KEYS).await, "asked again");
        before = now;
        if weight < 10_000 {
            change(&mut control, RolloutChange::Advance).await;
        }
    }
    assert_eq!(rollout(&mut control).await.phase(), RolloutPhase::Promoted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_was_stopped_goes_on_where_it_was_and_two_routers_agree_on_every_key() {
    let two = Two::start(transfer());
    let (grid, mut control) = two.grid().await;
    control.start_rollout(plan(&[3_000, 10_000], NEVER)).await.unwrap();
    ask_until(&grid, &mut control, |now| now.metrics[0].canary_requests >= 50).await;
    change(&mut control, RolloutChange::Pause).await;
    let before = who_has_it(&grid, 200).await;
    let path = grid.path("rollouts.json");
    let has_been_saved =
        |now: &Rollout| saved(&path).evidence.step.errors.canary.n == now.metrics[0].canary_requests;
    let seen = until(&mut control, has_been_saved, &AtomicBool::new(false)).await;
    assert!(seen.metrics[0].canary_requests >= 50);
    let copy = tempfile::NamedTempFile::new().expect("a file");
    fs::copy(&path, copy.path()).expect("copied");

    let state = copy.path().to_owned();
    let other =
        Grid::start_with(&[two.entry()], |settings| settings.rollouts = RolloutHome::File(state)).await;
    let resumed = rollout(&mut other.control().await).await;
    assert_eq!((resumed.weight, resumed.phase()), (3_000, RolloutPhase::Paused));
    assert_eq!((&resumed.id, resumed.step_began), (&seen.id, seen.step_began));
    let evidence = saved(copy.path()).evidence;
    let log10 = evidence.errors.ln_e() / std::f64::consts::LN_10;
    assert_eq!(resumed.metrics[0].log10_evidence, log10, "to the last bit");
    assert_eq!(resumed.metrics[0].canary_requests, evidence.step.errors.canary.n);
    other.until(|experts| experts[0].endpoints.iter().all(|endpoint| endpoint.ready)).await;
    assert_eq!(who_has_it(&other, 200).await, before);
}

/// What a router that starts now would go on with.
fn saved(path: &Path) -> nanogrid_rollout::Rollout {
    let text = fs::read(path).expect("saved");
    let state: serde_json::Value = serde_json::from_slice(&text).expect("always one whole state");
    serde_json::from_value(state["rollouts"]["intent"]["rollout"].clone()).expect("a rollout")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traffic_it_holds_and_says_why() {
    let two = Two::start(transfer());
    let (_grid, mut control) = two.grid().await;
    control.start_rollout(plan(&[100, 10_000], 500)).await.unwrap();
    let holds = |now: &Rollout| now.why == "the canary has had 0 of the 500 requests that this step needs";
    let now = until(&mut control, holds, &AtomicBool::new(false)).await;
    assert_eq!((now.phase(), now.weight), (RolloutPhase::Running, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_file_without_the_version_ends_its_rollout() {
    let two = Two::start(transfer());
    let (grid, mut control) = two.grid().await;
    control.start_rollout(plan(&[5_000, 10_000], NEVER)).await.unwrap();
    grid.write(&grid_file(&[entry("intent", &two.stable)]));
    let end = ask_until(&grid, &mut control, is_over).await;
    assert_eq!(end.phase(), RolloutPhase::Aborted);
    assert!(end.why.contains("the grid file does not name both of its versions"), "{}", end.why);
    assert_eq!(label(&grid.infer(text_for(&["intent"])).await.unwrap(), "intent"), "transfer");
}
