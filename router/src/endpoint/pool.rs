//! What the endpoints of one version have in common. Like their own histories it stays through reloads.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nanogrid_resilience::{Breaker, Latency};

use crate::rollout::Arm;

/// See the module.
#[derive(Debug)]
pub struct Pool {
    /// How long answers take, whichever endpoint gives them.
    pub latency: Latency,
    /// Open while most calls fail, whichever endpoint is asked.
    pub gate: Breaker,
    /// What became of its calls lately, for rollouts.
    pub arm: Arm,
    labels: Mutex<Labels>,
}

/// The labels that connected endpoints agree on.
#[derive(Debug, Default)]
struct Labels {
    sha256: String,
    /// Who came with them first.
    address: String,
    n_endpoints: usize,
}

/// An endpoint's claim that its labels are the version's. Gone when dropped.
#[must_use = "labels are only agreed on for as long as this is held"]
#[derive(Debug)]
pub(super) struct Claim {
    pool: Arc<Pool>,
    sha256: String,
}

/// Before anything is known. It only has to be the same for all: later ones begin with the others' median.
const FIRST_GUESS: Duration = Duration::from_millis(10);

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            latency: Latency::default(),
            gate: Breaker::new(rand::random()),
            arm: Arm::default(),
            labels: Mutex::default(),
        }
    }

    /// How long an answer usually takes.
    pub fn usual(&self) -> Duration {
        self.latency.p50().unwrap_or(FIRST_GUESS)
    }

    /// Two endpoints of one version with different labels would make answers a matter of luck. Who connects first decides,
    /// for as long as anyone is connected; so a version whose labels were changed in place comes into use whole, when
    /// the last old endpoint is gone. Endpoints that do not tell their labels agree with everyone.
    pub(super) fn claim(self: &Arc<Self>, sha256: &str, address: &str) -> Result<Claim, String> {
        let mut labels = self.labels();
        if !sha256.is_empty() {
            if labels.n_endpoints == 0 {
                *labels = Labels { sha256: sha256.to_owned(), address: address.to_owned(), n_endpoints: 0 };
            }
            if labels.sha256 != sha256 {
                let Labels { sha256: agreed, address: first, .. } = &*labels;
                return Err(format!(
                    "its labels are not those of {first}, which serves the same version: {sha256} instead of \
                     {agreed}; give the new labels a version of their own"
                ));
            }
            labels.n_endpoints += 1;
        }
        drop(labels);
        Ok(Claim { pool: self.clone(), sha256: sha256.to_owned() })
    }

    fn labels(&self) -> MutexGuard<'_, Labels> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Are these still the labels claimed?
    pub(super) fn is_for(&self, sha256: &str) -> bool {
        self.sha256 == sha256
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.sha256.is_empty() {
            self.pool.labels().n_endpoints -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_endpoint_decides_on_the_labels_until_nobody_holds_them() {
        let pool = Arc::new(Pool::new());
        let one = pool.claim("aa", "one:1").unwrap();
        let two = pool.claim("aa", "two:1").unwrap();
        let untold = pool.claim("", "foreign:1").unwrap();
        let reason = pool.claim("bb", "three:1").unwrap_err();
        assert!(reason.contains("one:1") && reason.contains("bb instead of aa"), "{reason}");
        drop((one, untold));
        pool.claim("bb", "three:1").unwrap_err();
        drop(two);
        let three = pool.claim("bb", "three:1").unwrap();
        assert!(three.is_for("bb"));
        pool.claim("aa", "one:1").unwrap_err();
    }
}
