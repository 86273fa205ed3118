//! The rollouts of several routers, replicas of one: all see, one decides, and what it decides holds for all.
//!
//! ```text
//!   router a (leader)                 ConfigMap of the expert                      router b
//!   see --> evidence.a --test+set-->  rollout | evidence.a | evidence.b  <--test+set-- evidence.b <-- see
//!   all evidence --> verdict --resourceVersion--> rollout ------------------watch------------> weights
//! ```
//!
//! **Who decides**: the holder of a [`lease`]. It also writes its name into the record of each rollout before it decides there, so that
//! one who has lost the Lease without noticing fails: a record is only written over the state that was read, and nobody
//! takes over a record without having signed the Lease since somebody else did. People may ask any router: what they ask for
//! is written in the same way, by the router that was asked.
//!
//! **What is decided on**: every router bets on the requests that it sees, and writes its evidence under its own key. All of it counts:
//! e-values are multiplied, requests are added. That is valid: while both versions are equal, each window of each router multiplies
//! the product of all by at most 1 on average, whatever anybody has seen before, so that the product is an e-process as each factor is. A router
//! may stop at any moment without spoiling that: its factor stays as it was. So what a router has written counts on after it has gone; whoever
//! decides multiplies it into the record and removes the key in one write, which keeps the object small. What it saw
//! in its last second or two is lost, for both versions alike. A router whose key was removed though it is alive begins anew, lest its
//! evidence count twice. The price of several routers is that each of them has to find out by itself which bet wins: with three, of which one is
//! replaced every quarter of an hour, 3 % errors instead of 1 % are found after a median of 260 s instead of 225 s (`cargo test -p nanogrid-rollout
//! --test simulated`).
//!
//! **What waits for nobody**: a router that sees a gate broken takes the canary's traffic away at once, tells the others, and leaves the
//! rest to whoever decides. While the API does not answer, weights stay as they are and nobody decides.

mod cluster;
mod lease;
mod object;
mod trial;

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;
use nanogrid_rollout::{Change, Plan, Rollout, Verdict};
use nanogrid_settings::{ExpertName, KubernetesSettings};
use nanogrid_telemetry::metrics::RolloutEvent;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{info, warn};

use super::{
    RolloutError,
    hands::{Hands, Pair},
    now_ms,
    state::{Kept, State},
};

pub use cluster::ClusterError;

use cluster::Cluster;
use lease::Election;
use object::{Object, Record, changes, contents, key_of, router_name};
use trial::{Circumstances, Trial};

/// See the module.
#[derive(Debug)]
pub struct Joint {
    hands: Hands,
    cluster: Cluster,
    me: String,
    settings: KubernetesSettings,
    trials: Mutex<BTreeMap<ExpertName, Trial>>,
    /// When the Lease was last signed by this router, while it is its.
    signed: Mutex<Option<Instant>>,
    /// Why the API is of no use now, by what it is used for.
    troubles: Mutex<BTreeMap<Use, String>>,
    /// Something happened that others should hear of before the next tick.
    urgent: Notify,
}

/// What the API is used for; each may work without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Lease,
    Objects,
    Watch,
}

/// A change that loses against others so often is given up.
const TRIES: usize = 10;

/// Somebody waits for the router to end.
const FAREWELL: Duration = Duration::from_secs(2);

impl Joint {
    /// Goes on where the objects say. Where the API does not answer, the grid file holds until it does.
    pub(super) async fn resume(hands: Hands, settings: &KubernetesSettings) -> Result<Self, ClusterError> {
        let host = hostname::get().unwrap_or_default();
        let joint = Self {
            hands,
            cluster: Cluster::new(settings).await?,
            me: router_name(&host.to_string_lossy(), rand::random()),
            settings: settings.clone(),
            trials: Mutex::default(),
            signed: Mutex::default(),
            troubles: Mutex::default(),
            urgent: Notify::new(),
        };
        match joint.cluster.list().await {
            Ok(objects) => objects.into_iter().for_each(|object| {
                joint.read(object);
            }),
            // Requests are answered without it; nobody would be helped by a router that does not start.
            Err(error) if error.may_pass() => joint.troubled(Use::Watch, &error),
            Err(error) => return Err(error),
        }
        Ok(joint)
    }

    pub(super) async fn run(&self, tick: Duration) {
        tokio::join!(self.see(tick), self.speak(tick), self.watch(), self.stand());
    }

    /// Says what was not said yet, and gives the Lease back.
    pub(super) async fn leave(&self) {
        let farewell = async {
            self.look_at_all();
            self.publish(Duration::ZERO).await;
            if self.signed().is_some()
                && let Err(error) = self.election().resign(&self.cluster).await
            {
                self.troubled(Use::Lease, &error);
            }
        };
        // Whatever is not said by then is found out by the others.
        let _ = timeout(FAREWELL, farewell).await;
    }

    pub(super) fn all(&self) -> State {
        let trials = self.trials();
        let shown = |(expert, trial): (&ExpertName, &Trial)| (expert.clone(), self.shown(trial));
        State { rollouts: trials.iter().map(shown).collect() }
    }

    /// As people see it: with the evidence of all, and with what is waited for at this moment.
    fn shown(&self, trial: &Trial) -> Kept {
        let mut kept = trial.kept().clone();
        kept.rollout.evidence = trial.total();
        if kept.rollout.is_over() {
            return kept;
        }
        if let Some(trouble) = self.trouble() {
            kept.why = format!("nobody decides: {trouble}");
        } else if let Verdict::Hold { why } = trial.verdict(now_ms()) {
            kept.why = why;
        }
        kept
    }

    pub(super) async fn start(&self, expert: &ExpertName, plan: Plan) -> Result<Kept, RolloutError> {
        let plan = |before: Option<&Kept>| self.hands.plan(expert, plan.clone(), before, now_ms());
        let kept = self.amend(expert, plan).await?;
        info!(%expert, rollout = kept.rollout.plan.id, why = kept.why, "rollout started");
        self.hands.metrics.happened(expert.as_str(), RolloutEvent::Started);
        Ok(kept)
    }

    pub(super) async fn change(&self, expert: &ExpertName, change: Change) -> Result<Kept, RolloutError> {
        self.hands.catalog.now().expert(expert.as_str())?;
        let change = |before: Option<&Kept>| {
            let mut kept = before.cloned().ok_or_else(|| RolloutError::none(expert))?;
            kept.asked(change, now_ms())?;
            Ok(kept)
        };
        self.amend(expert, change).await
    }

    /// Does what somebody asked for to whatever stands in the object now, as often as others are faster.
    async fn amend(
        &self,
        expert: &ExpertName,
        change: impl Fn(Option<&Kept>) -> Result<Kept, RolloutError>,
    ) -> Result<Kept, RolloutError> {
        let failed = |source| RolloutError::Cluster { expert: expert.clone(), source };
        for _ in 0..TRIES {
            let before = self.cluster.get(expert).await.map_err(failed)?;
            let before = before.map(Object::read).transpose().map_err(failed)?;
            let kept = change(before.as_ref().map(|object| &object.record.kept))?;
            match self.write(expert, before.as_ref(), kept).await {
                Ok(object) => {
                    self.adopt(expert, object);
                    let trials = self.trials();
                    // Another one may have come meanwhile; it is as true.
                    return trials
                        .get(expert)
                        .map(|trial| self.shown(trial))
                        .ok_or_else(|| RolloutError::none(expert));
                }
                Err(ClusterError::Conflict) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(ClusterError::Conflict))
    }

    async fn write(
        &self,
        expert: &ExpertName,
        before: Option<&Object>,
        kept: Kept,
    ) -> Result<Object, ClusterError> {
        let Some(before) = before else {
            let record = Record { leader: String::new(), kept }.write()?;
            return Object::read(self.cluster.create(expert, contents(record)).await?);
        };
        let is_another = kept.rollout.plan.id != before.rollout().plan.id;
        // Evidence of a rollout that is over is in its last decision.
        let gone = before.routers().map(|(router, _)| router).filter(|_| is_another);
        let record = Record { leader: before.record.leader.clone(), kept }.write()?;
        let changes = changes(record, gone);
        Object::read(self.cluster.change(expert, &before.resource_version, &changes).await?)
    }

    /// Looks at what has happened here.
    async fn see(&self, tick: Duration) {
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look_at_all();
        }
    }

    fn look_at_all(&self) {
        for (expert, trial) in &mut *self.trials() {
            if trial.is_over() {
                self.hands.give_way(expert, trial.kept());
            } else {
                self.look(expert, trial);
                self.hands.measure(expert, &trial.total(), trial.weight());
            }
        }
    }

    fn look(&self, expert: &ExpertName, trial: &mut Trial) {
        let grid = self.hands.catalog.now();
        let rollout = &trial.kept().rollout;
        // Whoever decides sees this as well.
        let Ok(pair) = grid.expert(expert.as_str()).and_then(|known| Pair::of(known, &rollout.plan)) else {
            return;
        };
        self.hands.time(expert, &pair, trial.kept().slow_above_us);
        let window = self.hands.look(expert, &pair, trial.weight(), trial.lost_before());
        let gates = window.gates.clone();
        if trial.saw(window, pair.slow_above_us()) {
            let gate = gates.first().map(ToString::to_string);
            warn!(%expert, rollout = trial.kept().rollout.plan.id, why = gate, "the canary gets nothing from this router any more");
            self.hands.steer(expert, &trial.kept().rollout, trial.weight());
            self.urgent.notify_one();
        }
    }

    /// Tells others what was seen, and decides where that is for this router to do. Apart from seeing, which no silent API may delay.
    async fn speak(&self, tick: Duration) {
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.urgent.notified() => {}
            }
            self.publish(self.settings.retry_period).await;
            self.decide().await;
        }
    }

    async fn publish(&self, pause: Duration) {
        let now = Instant::now();
        let due: Vec<_> = {
            let mut trials = self.trials();
            let due =
                trials.iter_mut().map(|(expert, trial)| (expert.clone(), trial.publication(pause, now)));
            due.filter_map(|(expert, publication)| Some((expert, publication?))).collect()
        };
        let key = key_of(&self.me);
        for (expert, publication) in due {
            let set = self.cluster.set(&expert, &key, publication.before.as_deref(), &publication.text).await;
            match set {
                Ok(object) => {
                    if let Some(trial) = self.trials().get_mut(&expert) {
                        trial.published(publication, now);
                    }
                    self.heard(Use::Objects);
                    self.read(object);
                }
                Err(error) => self.not_written(&expert, &error).await,
            }
        }
    }

    async fn decide(&self) {
        let experts: Vec<ExpertName> = self.trials().keys().cloned().collect();
        for expert in experts {
            for _ in 0..TRIES {
                let Some(signed) = self.signed() else { return };
                let Some(mut proposal) = self.propose(&expert, signed) else { break };
                let Ok(record) = proposal.record.write() else { break };
                let changes = changes(record, proposal.gone.iter().map(String::as_str));
                match self.cluster.change(&expert, &proposal.resource_version, &changes).await {
                    Ok(object) => {
                        self.heard(Use::Objects);
                        self.read(object);
                        break;
                    }
                    Err(error @ ClusterError::Conflict) => self.not_written(&expert, &error).await,
                    Err(error) => {
                        self.not_written(&expert, &error).await;
                        break;
                    }
                }
            }
        }
    }

    fn propose(&self, expert: &ExpertName, signed: Instant) -> Option<trial::Proposal> {
        let grid = self.hands.catalog.now();
        let trials = self.trials();
        let trial = trials.get(expert)?;
        let pair = grid.expert(expert.as_str()).and_then(|known| Pair::of(known, &trial.kept().rollout.plan));
        trial.propose(Circumstances {
            is_in_grid: pair.is_ok(),
            signed,
            patience: self.settings.lease_duration,
            now: Instant::now(),
            now_ms: now_ms(),
        })
    }

    async fn not_written(&self, expert: &ExpertName, error: &ClusterError) {
        match error {
            // The object is not as we knew it.
            ClusterError::Conflict | ClusterError::Gone(_) => self.refresh(expert).await,
            ClusterError::Unknown(_)
            | ClusterError::Silent(_)
            | ClusterError::Unreachable(_)
            | ClusterError::Refused(_)
            | ClusterError::Broken { .. } => self.troubled(Use::Objects, error),
        }
    }

    /// Stands for election, again and again.
    async fn stand(&self) {
        let mut election = self.election();
        loop {
            let began = Instant::now();
            let before = self.signed();
            match election.stand(&self.cluster).await {
                Ok(is_mine) => {
                    self.heard(Use::Lease);
                    *lock(&self.signed) = is_mine.then_some(began);
                }
                Err(error) => self.troubled(Use::Lease, &error),
            }
            match (before, self.signed()) {
                (None, Some(_)) => info!(router = self.me, "decides on rollouts from now on"),
                (Some(_), None) => warn!(router = self.me, "decides on rollouts no more"),
                (None, None) | (Some(_), Some(_)) => {}
            }
            self.hands.metrics.leads(self.signed().is_some());
            sleep(self.settings.retry_period).await;
        }
    }

    /// When the Lease was last signed, while that counts.
    fn signed(&self) -> Option<Instant> {
        lock(&self.signed).filter(|signed| signed.elapsed() < self.settings.renew_deadline)
    }

    fn election(&self) -> Election {
        Election::new(self.me.clone(), &self.settings)
    }

    /// Puts into force what others write.
    async fn watch(&self) {
        let mut events = pin!(self.cluster.watch());
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.heard(Use::Watch);
                    self.follow(event, &mut listed).await;
                }
                Err(error) => {
                    self.troubled(Use::Watch, &error.into());
                    sleep(self.settings.retry_period).await;
                }
            }
        }
    }

    async fn follow(&self, event: Event<ConfigMap>, listed: &mut BTreeSet<ExpertName>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.extend(self.read(object)),
            Event::Apply(object) => {
                self.read(object);
            }
            Event::InitDone => {
                // A list may be older than what we know.
                let unlisted: Vec<_> =
                    self.trials().keys().filter(|expert| !listed.contains(*expert)).cloned().collect();
                for expert in unlisted {
                    self.refresh(&expert).await;
                }
            }
            Event::Delete(object) => {
                if let Some(expert) = self.cluster.expert_of(&object) {
                    self.refresh(&expert).await;
                }
            }
        }
    }

    /// Looks at an object itself.
    async fn refresh(&self, expert: &ExpertName) {
        match self.cluster.get(expert).await {
            Ok(Some(object)) => {
                self.read(object);
            }
            Ok(None) => {
                // Somebody wants no rollout of it to be known: the grid file holds.
                if self.trials().remove(expert).is_some() {
                    warn!(%expert, "its rollout was deleted");
                    self.hands.stop(expert);
                }
            }
            Err(error) => self.troubled(Use::Objects, &error),
        }
    }

    /// Takes in the state of an object, and says whose it is.
    fn read(&self, object: ConfigMap) -> Option<ExpertName> {
        let expert = self.cluster.expert_of(&object)?;
        match Object::read(object) {
            Ok(object) => self.adopt(&expert, object),
            Err(error) => {
                self.hands.metrics.save_failed();
                warn!(%expert, %error, "its rollout stays as it was");
            }
        }
        Some(expert)
    }

    /// Puts into force what an object says, unless something later is in force.
    fn adopt(&self, expert: &ExpertName, object: Object) {
        let now = Instant::now();
        let mut trials = self.trials();
        let known = trials.get_mut(expert);
        if known.as_ref().is_some_and(|trial| !object.is_newer_than(&trial.object)) {
            return;
        }
        let known = known.filter(|trial| trial.object.rollout().plan.id == object.rollout().plan.id);
        let Some(trial) = known else {
            let Rollout { plan, phase, .. } = object.rollout();
            info!(%expert, rollout = plan.id, phase = phase.as_str(), "rollout goes on");
            let lost_before = self.hands.begin(expert, object.rollout());
            trials.insert(expert.clone(), Trial::new(object, &self.me, lost_before, now));
            return;
        };
        let before = trial.kept().rollout.phase;
        if before != object.rollout().phase && !trial.is_over() {
            // What has happened until now belongs to what was in force until now.
            self.look(expert, trial);
        }
        let weight_before = trial.weight();
        trial.follow(object, now);
        let Kept { rollout, .. } = trial.kept();
        if rollout.phase != before {
            self.hands.steer(expert, rollout, trial.weight());
            self.hands.measure(expert, &trial.total(), trial.weight());
            if trial.weight() != weight_before || trial.is_over() {
                self.hands.tell(expert, trial.kept());
            }
        }
    }

    /// The API has answered.
    fn heard(&self, purpose: Use) {
        if lock(&self.troubles).remove(&purpose).is_some() {
            info!(purpose = purpose.as_str(), "the Kubernetes API answers again");
            let now = Instant::now();
            self.trials().values_mut().for_each(|trial| trial.heard_again(now));
        }
    }

    /// The API is of no use: every time is counted, and the first is told.
    fn troubled(&self, purpose: Use, error: &ClusterError) {
        self.hands.metrics.save_failed();
        if lock(&self.troubles).insert(purpose, error.to_string()).is_none() {
            warn!(purpose = purpose.as_str(), %error, "rollouts stay where they are, and nobody decides");
        }
    }

    fn trouble(&self) -> Option<String> {
        lock(&self.troubles).values().next().cloned()
    }

    fn trials(&self) -> MutexGuard<'_, BTreeMap<ExpertName, Trial>> {
        lock(&self.trials)
    }
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Objects => "objects",
            Self::Watch => "watch",
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
