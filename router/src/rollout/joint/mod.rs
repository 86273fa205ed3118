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

mod amend;
mod cluster;
mod lease;
mod object;
mod see;
mod speak;
mod stand;
mod trial;
mod trouble;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nanogrid_rollout::Verdict;
use nanogrid_settings::{ExpertName, KubernetesSettings};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    hands::Hands,
    now_ms,
    state::{Kept, State},
};

pub use cluster::ClusterError;

use cluster::Cluster;
use object::router_name;
use trial::Trial;
use trouble::Use;

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

    fn trials(&self) -> MutexGuard<'_, BTreeMap<ExpertName, Trial>> {
        lock(&self.trials)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
