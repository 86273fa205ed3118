//! A new version of a real expert is tried: a good one gets all the traffic by itself, one that errs or is slow is taken back
//! by itself. Clients lose nothing, and whoever has the new version keeps it until the end.

use std::collections::HashSet;
use std::time::Duration;

use nanogrid_proto::v1::control_client::ControlClient;
use nanogrid_proto::v1::grid_client::GridClient;
use nanogrid_proto::v1::infer_request::Payload;
use nanogrid_proto::v1::{
    InferRequest, ListRolloutsRequest, Rollout, RolloutPhase, RolloutStep, StartRolloutRequest,
};
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::Setup;
use super::front::Trouble;
use super::grid::{Grid, Layout, Part};
use super::report::{Report, ms};
use super::steady::Diary;
use crate::{Error, call};

const EXPERT: &str = "spam";
const STABLE: u32 = 1;
const CANARY: u32 = 2;
/// Basis points; shortened, because the promises are about verdicts and not about patience.
const WEIGHTS: [u32; 4] = [0, 2_500, 5_000, 10_000];
const LEAST_TIME: prost_types::Duration = prost_types::Duration { seconds: 2, nanos: 0 };
const LEAST_REQUESTS: u64 = 50;
/// The new model is some forty times larger, and meant to take longer.
const SLOW_FROM: f64 = 20.0;
/// The trouble begins once clients get the canary's answers, or shadow traffic would find it alone.
const TROUBLE_FROM: u32 = WEIGHTS[1];
const REFUSES_ONE_OF: u64 = 10;
/// Many times what either model takes.
const SLOWER_BY: Duration = Duration::from_millis(50);
/// From the trouble to all the traffic back.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// Longer than a good canary needs at any rate worth trying.
const LIMIT: Duration = Duration::from_secs(300);
/// Clients who always send the same key.
const N_KEYS: usize = 40;
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What is wrong with the new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    Good,
    Erring,
    Slow,
}

/// What came of it.
#[derive(Clone, Debug)]
struct End {
    rollout: Rollout,
    began: Duration,
    ended: Duration,
    /// From the trouble to the end.
    took: Option<Duration>,
    /// Calls that the canary refused.
    n_refused: u64,
    /// Keys that ever had the canary, and that lost it before the end.
    n_keys: usize,
    n_lost_keys: usize,
}

pub(super) async fn run(trial: Trial, setup: &Setup) -> Result<Report, Error> {
    let layout = Layout { experts: &[Part::version(EXPERT, STABLE)], fronts: true };
    let mut grid = Grid::start(&setup.place, layout).await?;
    let canary = grid.add(Part::version(EXPERT, CANARY)).await?;
    let payload = call::payload(&setup.cases(EXPERT)?.swap_remove(0).input);
    let load = setup.load(&grid, setup.unchecked_inputs(EXPERT)?).await?;
    let script =
        async |grid: &mut Grid, diary: &Diary| Try { trial, canary, payload }.watch(grid, diary).await;
    let observed = load.during(&mut grid, script).await?;
    let end = observed.script.clone();
    let what = format!("`{EXPERT}` version {CANARY} is tried against {STABLE}; {}", trial.what());
    let mut report = observed.report(&what, end.began..end.ended);

    let (n_failed, n_calls) = (observed.n_failed(), observed.calls.len());
    let phase = end.rollout.phase();
    match trial {
        Trial::Good => {
            report.promise(
                "it gets all the traffic by itself",
                phase == RolloutPhase::Promoted,
                end.rollout.why.clone(),
            );
            report.promise("no failed request", n_failed == 0, format!("{n_failed} of {n_calls}"));
        }
        Trial::Erring | Trial::Slow => {
            let after = match end.took {
                Some(took) => format!("{:.1} s after the trouble began", took.as_secs_f64()),
                None => "before the trouble began".to_owned(),
            };
            report.promise(
                format!("it is taken back by itself within {BACK_WITHIN:?}"),
                phase == RolloutPhase::RolledBack && end.took.is_some_and(|took| took <= BACK_WITHIN),
                format!("{after}: {}", end.rollout.why),
            );
            report.promise(
                "no more failures than the canary's own",
                n_failed as u64 <= end.n_refused,
                format!("{n_failed} of {n_calls}, while it refused {}", end.n_refused),
            );
        }
    }
    report.promise(
        "whoever has the new version keeps it until the end",
        end.n_keys > 0 && end.n_lost_keys == 0,
        format!("{} of {} keys lost it", end.n_lost_keys, end.n_keys),
    );
    report.number("seconds from start to end", ms(end.ended - end.began) / 1000.0);
    Ok(report)
}

impl Trial {
    fn what(self) -> &'static str {
        match self {
            Self::Good => "both are well",
            Self::Erring => "it refuses a tenth of its calls",
            Self::Slow => "it takes 50 ms longer",
        }
    }

    fn trouble(self) -> Trouble {
        match self {
            Self::Good => Trouble::None,
            Self::Erring => Trouble::Refuses(REFUSES_ONE_OF),
            Self::Slow => Trouble::Slower(SLOWER_BY),
        }
    }
}

struct Try {
    trial: Trial,
    /// Which replica it is.
    canary: usize,
    payload: Payload,
}

impl Try {
    async fn watch(self, grid: &mut Grid, diary: &Diary) -> Result<End, Error> {
        let front = grid.replicas[self.canary].front.as_ref().expect("every replica has one");
        let mut control = grid.ops.control();
        let mut clients = GridClient::new(super::grid::lazy(grid.address));
        let refused =
            |status: Status| Error::Refused { what: "a rollout", reason: status.message().to_owned() };
        control.start_rollout(plan()).await.map_err(refused)?;
        let began = diary.note("the rollout begins with copies of requests");
        let (mut weight, mut trouble_since) = (0, None);
        let (mut have_it, mut lost_it, mut lost_just_now) = (HashSet::new(), HashSet::new(), HashSet::new());
        let limit = Instant::now() + LIMIT;
        loop {
            let rollout = now(&mut control).await.map_err(refused)?;
            let is_over = !matches!(rollout.phase(), RolloutPhase::Running | RolloutPhase::Paused);
            if is_over || Instant::now() > limit {
                let ended = diary.note(rollout.why.clone());
                let (n_keys, n_lost_keys, n_refused) = (have_it.len(), lost_it.len(), front.n_refused());
                let took = trouble_since.map(|since| ended - since);
                front.set(Trouble::None);
                return Ok(End { rollout, began, ended, took, n_refused, n_keys, n_lost_keys });
            }
            if rollout.weight != weight {
                weight = rollout.weight;
                diary.note(format!("{} % of the traffic", weight / 100));
            }
            if weight >= TROUBLE_FROM && trouble_since.is_none() && self.trial != Trial::Good {
                trouble_since = Some(diary.note(self.trial.what()));
                front.set(self.trial.trouble());
            }
            // What was lost before this look, when there was still something to have.
            lost_it.extend(lost_just_now.drain());
            for key in 0..N_KEYS {
                let version = version_for(&mut clients, key, self.payload.clone()).await;
                if version == Some(CANARY) {
                    have_it.insert(key);
                } else if version.is_some() && have_it.contains(&key) {
                    lost_just_now.insert(key);
                }
            }
            sleep(ASK_EVERY).await;
        }
    }
}

fn plan() -> StartRolloutRequest {
    let step = |weight| RolloutStep { weight, least_time: Some(LEAST_TIME), least_requests: LEAST_REQUESTS };
    StartRolloutRequest {
        expert: EXPERT.to_owned(),
        canary: CANARY.to_string(),
        steps: WEIGHTS.map(step).to_vec(),
        slow_from: Some(SLOW_FROM),
        ..StartRolloutRequest::default()
    }
}

async fn now(control: &mut ControlClient<Channel>) -> Result<Rollout, Status> {
    let request = ListRolloutsRequest { expert: EXPERT.to_owned() };
    let list = control.list_rollouts(request).await?.into_inner();
    list.rollouts.into_iter().next().ok_or_else(|| Status::not_found("it is gone"))
}

/// The version that a client with this key is given; `None` when it was not that version that answered.
async fn version_for(clients: &mut GridClient<Channel>, key: usize, payload: Payload) -> Option<u32> {
    let mut request = Request::new(InferRequest {
        payload: Some(payload),
        experts: vec![EXPERT.to_owned()],
        ..InferRequest::default()
    });
    let key = format!("client-{key}").parse().expect("ASCII");
    request.metadata_mut().insert("x-nanogrid-sticky", key);
    let answer = clients.infer(request).await.ok()?.into_inner();
    let outcome = answer.outcomes.into_iter().next().filter(|outcome| outcome.fallback.is_none())?;
    outcome.version.parse().ok()
}
