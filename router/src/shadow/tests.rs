//! Through dispatch, over real connections.

use std::sync::Arc;

use http::HeaderValue;
use nanogrid_proto::tensor::{Data, Tensor, set_inputs};
use nanogrid_serving::Network;
use nanogrid_settings::grid;
use nanogrid_telemetry::metrics::Registry;
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::*;
use crate::{
    cache::Caches,
    catalog::Catalog,
    dispatch::{Attempted, Dispatch, PREVIOUS_ATTEMPTS},
    fault::Faults,
    plan::{self, Time},
    request::{Split as Wish, SplitKey, VersionChoice},
};

const EVERY_CALL: Watch = Watch { stable: 1, canary: 2, share: 1.0 };

/// `intent` in two versions: 1 is live.
struct Grid {
    catalog: Catalog,
    dispatch: Dispatch,
    shadow: Arc<Shadow>,
    registry: Registry,
    seen: Copies,
}

fn expert(version: u32, label: &str) -> ScriptedExpert {
    ScriptedExpert::start(Profile::of("intent", version, "text-classification"), labels(label))
}

fn labels(label: &str) -> Behaviour {
    Behaviour::labels(&[(label, 0.9)])
}

fn intent() -> ExpertName {
    "intent".parse().expect("a name")
}

impl Grid {
    async fn start(live: &[&ScriptedExpert], canary: &ScriptedExpert) -> Self {
        let registry = Registry::new();
        let metrics = RouterMetrics::new(&registry);
        let catalog = Catalog::new(Network::default(), metrics.clone());
        let endpoints: Vec<_> = live.iter().map(|expert| format!("static://{}", expert.address())).collect();
        let file = format!(
            "[[expert]]\nname = \"intent\"\ntask = \"text-classification\"\n\
             [[expert.version]]\nversion = 1\nweight = 100\nendpoints = {endpoints:?}\n\
             [[expert.version]]\nversion = 2\nweight = 0\nendpoints = [\"static://{}\"]\n",
            canary.address()
        );
        catalog.replace(&grid::Grid::parse(&file, "grid.toml").expect("a good grid"));
        let shadow = Arc::new(Shadow::new(false, 1 << 20, metrics.clone()));
        let faults = Arc::new(Faults::new(false, 0, metrics.clone()));
        let dispatch = Dispatch::new(1 << 20, Arc::new(Caches::new(metrics)), faults, shadow.clone());
        let grid = Self { catalog, dispatch, shadow, registry, seen: Copies::default() };
        let expert = grid.expert();
        eventually("everybody is ready", || expert.endpoints().all(|endpoint| endpoint.is_ready())).await;
        grid
    }

    fn expert(&self) -> Arc<Expert> {
        self.catalog.now().get("intent").expect("in the grid").clone()
    }

    fn watch(&self, watch: Option<Watch>) {
        self.shadow.watch(&intent(), watch);
    }

    async fn ask(&self) -> Attempted {
        self.ask_version(1, &HeaderMap::new()).await
    }

    async fn ask_version(&self, version: u32, headers: &HeaderMap) -> Attempted {
        let now = Instant::now();
        let time = Time { now, deadline: now + Duration::from_secs(10) };
        let wish = Wish { version: Some(VersionChoice::Number(version)), key: SplitKey::Random(7) };
        let call = plan::call(&wish, "intent", &self.catalog.now(), time).expect("a plan");
        let data = Data::Bytes(vec!["move money".into()]);
        let mut message = ModelInferRequest { id: "7".to_owned(), ..Default::default() };
        set_inputs(&mut message, vec![Tensor { name: "text".to_owned(), shape: vec![1], data }]);
        self.dispatch.forward(&call, &message, headers).await
    }

    /// Waits until so many copies have come to an end that tells something.
    async fn until_seen(&mut self, is_enough: impl Fn(&Seen) -> bool) -> Copies {
        let (seen, shadow) = (&mut self.seen, &self.shadow);
        eventually("copies have ended", || {
            let Copies { seen: more, invalid } = shadow.take(&intent());
            seen.seen.add(&more);
            seen.invalid += invalid;
            is_enough(&seen.seen)
        })
        .await;
        self.seen
    }

    fn count(&self, result: &str) -> u64 {
        let start = format!("nanogrid_shadow_total{{expert=\"intent\",result=\"{result}\"}} ");
        let text = self.registry.encode();
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).expect("registered")
    }
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_asked_what_the_client_asked_and_first_to_be_shed() {
    let (live, canary) = (expert(1, "transfer"), expert(2, "balance"));
    let mut grid = Grid::start(&[&live], &canary).await;
    grid.watch(Some(EVERY_CALL));
    let mut headers = HeaderMap::new();
    headers.insert("x-nanogrid-criticality", HeaderValue::from_static("CRITICAL_PLUS"));
    headers.insert("x-nanogrid-tenant", HeaderValue::from_static("blue"));
    headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from_static("2"));
    grid.ask_version(1, &headers).await.result.expect("an answer");

    let Copies { seen, invalid } = grid.until_seen(|seen| seen.compared.n == 1).await;
    assert_eq!((seen.compared.bad, seen.errors.canary.bad, invalid), (1, 0, 0));
    let (asked, copied) = (&live.seen()[0], &canary.seen()[0]);
    assert_eq!(copied.message.model_version, "2");
    assert_eq!(copied.message.inputs, asked.message.inputs);
    assert_eq!(copied.message.raw_input_contents, asked.message.raw_input_contents);
    let told = |name: &str| copied.metadata.get(name).map(|value| value.to_str().expect("ASCII"));
    assert_eq!(told("x-nanogrid-criticality"), Some("SHEDDABLE"));
    assert_eq!(told("x-nanogrid-shadow"), Some("1"));
    assert_eq!(told("x-nanogrid-tenant"), Some("blue"));
    assert_eq!(told("grpc-previous-rpc-attempts"), None);

    let disagreements = grid.shadow.disagreements(&intent(), 0);
    let [Disagreement { stable_answer, canary_answer, payload, .. }] = &disagreements[..] else {
        panic!("{disagreements:?}")
    };
    assert_eq!((&**stable_answer, &**canary_answer), ("transfer 0.90", "balance 0.90"));
    assert_eq!(payload, &None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_hangs_costs_clients_nothing() {
    let (live, canary) = (expert(1, "transfer"), expert(2, "transfer"));
    canary.behave(Behaviour::hangs());
    let grid = Grid::start(&[&live], &canary).await;
    grid.watch(Some(EVERY_CALL));
    for _ in 0..100 {
        grid.ask().await.result.expect("an answer");
    }
    assert_eq!(live.n_calls(), 100);
    assert!(grid.count("dropped") > 0, "copies do not pile up");
    assert_eq!(grid.shadow.take(&intent()).seen.compared.n, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_candidate_does_to_copies_is_held_against_it_in_the_rollout_only() {
    let (live, canary) = (expert(1, "transfer"), expert(2, "transfer"));
    canary.behave(Behaviour::fails(Status::internal("broken")));
    let mut grid = Grid::start(&[&live], &canary).await;
    grid.watch(Some(EVERY_CALL));
    for n_copies in 1..=30 {
        grid.ask().await.result.expect("an answer");
        grid.until_seen(|seen| seen.errors.canary.n == n_copies).await;
    }
    assert_eq!((grid.seen.seen.errors.canary.bad, grid.seen.seen.errors.stable.bad), (30, 0));
    let expert = grid.expert();
    let version = &expert.versions[1];
    let history = &version.endpoints[0].history;
    assert!(history.breaker.is_closed() && version.pool.gate.is_closed());
    assert_eq!((history.latency.p50(), version.pool.latency.p50()), (None, None));
    assert_eq!(version.pool.arm.take().errors.n, 0);
    // So that a client who wants it still gets it.
    canary.behave(labels("balance"));
    grid.ask_version(2, &HeaderMap::new()).await.result.expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_has_too_much_to_do_or_is_gone_is_no_evidence() {
    let (live, mut canary) = (expert(1, "transfer"), expert(2, "transfer"));
    canary.behave(Behaviour::fails(Status::resource_exhausted("busy")));
    let grid = Grid::start(&[&live], &canary).await;
    grid.watch(Some(EVERY_CALL));
    grid.ask().await.result.expect("an answer");
    eventually("the copy was refused", || grid.count("dropped") == 1).await;
    canary.kill();
    let expert = grid.expert();
    eventually("it is gone", || !expert.versions[1].is_ready()).await;
    grid.ask().await.result.expect("an answer");
    assert_eq!(grid.count("dropped"), 2);
    assert_eq!(grid.shadow.take(&intent()), Copies::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_copy_in_ten_tells_how_much_the_live_version_differs_from_itself() {
    let (one, two, canary) = (expert(1, "one"), expert(1, "two"), expert(2, "one"));
    let mut grid = Grid::start(&[&one, &two], &canary).await;
    grid.watch(Some(EVERY_CALL));
    for n_copies in 1..=100 {
        grid.ask().await.result.expect("an answer");
        grid.until_seen(|seen| seen.floor.n + seen.compared.n == n_copies).await;
    }
    let Seen { floor, compared, .. } = grid.seen.seen;
    // Equal calls in equal order: always the same ones.
    assert!((3..=25).contains(&floor.n), "{floor:?}");
    assert_eq!(floor.bad, floor.n, "it is always the other endpoint");
    assert_eq!(one.n_calls() + two.n_calls(), 100 + floor.n as usize);
    assert_eq!((compared.n, canary.n_calls()), (100 - floor.n, 100 - floor.n as usize));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_copied_that_nobody_asked_for() {
    let (live, canary) = (expert(1, "transfer"), expert(2, "transfer"));
    let mut grid = Grid::start(&[&live], &canary).await;
    grid.ask().await.result.expect("an answer");
    grid.watch(Some(Watch { share: 0.0, ..EVERY_CALL }));
    grid.ask().await.result.expect("an answer");
    grid.watch(Some(Watch { share: f64::NAN, ..EVERY_CALL }));
    grid.ask().await.result.expect("an answer");
    grid.watch(Some(EVERY_CALL));
    live.behave(Behaviour::fails(Status::invalid_argument("too long")));
    grid.ask().await.result.expect_err("what is wrong with the request says nothing");
    live.behave(labels("transfer"));
    grid.ask_version(2, &HeaderMap::new()).await.result.expect("an answer");
    grid.watch(None);
    grid.ask().await.result.expect("an answer");

    grid.watch(Some(EVERY_CALL));
    grid.ask().await.result.expect("an answer");
    grid.until_seen(|seen| seen.compared.n == 1).await;
    assert_eq!(canary.n_calls(), 2, "the client's own and the last copy");
    assert_eq!(grid.seen.seen.errors.canary.n, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_failed_is_copied_too() {
    let (live, canary) = (expert(1, "transfer"), expert(2, "transfer"));
    live.behave(Behaviour::fails(Status::internal("broken")));
    let mut grid = Grid::start(&[&live], &canary).await;
    grid.watch(Some(EVERY_CALL));
    grid.ask().await.result.expect_err("broken");
    let Copies { seen, .. } = grid.until_seen(|seen| seen.errors.stable.n == 1).await;
    assert_eq!((seen.errors.stable.bad, seen.errors.canary.bad, seen.compared.n), (1, 0, 0));
}

#[test]
fn a_share_is_kept_by_key_and_grows_by_keys() {
    let watched = |share| {
        let metrics = RouterMetrics::new(&Registry::new()).shadow("intent");
        let subject = Arc::new(Subject::new(intent(), metrics));
        Watched::new(&intent(), Watch { share, ..EVERY_CALL }, subject)
    };
    let copied = |watched: &Watched| -> Vec<u32> {
        (0..10_000_u32).filter(|key| watched.share.pick(key.to_string().as_bytes()) == 1).collect()
    };
    let (tenth, half) = (copied(&watched(0.1)), copied(&watched(0.5)));
    assert!(tenth.len().abs_diff(1_000) < 150 && half.len().abs_diff(5_000) < 250);
    assert!(tenth.iter().all(|key| half.binary_search(key).is_ok()));
    assert_eq!((copied(&watched(7.0)).len(), copied(&watched(-1.0)).len()), (10_000, 0));
}
