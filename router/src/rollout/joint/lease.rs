//! Who decides: whoever holds the Lease. The protocol is that of Kubernetes' own controllers.
//!
//! The holder signs it anew every few seconds. Everybody else looks how long the same signature has been there, by his own clock,
//! since clocks of machines differ; when that is longer than the lease lasts, he takes it, and the API lets only one of several do so.
//! A holder that is not heard by the API gives up earlier than anybody else may begin.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use nanogrid_settings::KubernetesSettings;
use tokio::time::Instant;

use super::cluster::{Cluster, ClusterError};

/// See the module. One candidate.
#[derive(Debug)]
pub(super) struct Election {
    me: String,
    lease_duration: Duration,
    /// The last signature of somebody else, and since when it has been there.
    seen: Option<(Signature, Instant)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Signature {
    holder: String,
    renewed: Option<MicroTime>,
    transitions: Option<i32>,
}

impl Election {
    pub(super) fn new(me: String, settings: &KubernetesSettings) -> Self {
        Self { me, lease_duration: settings.lease_duration, seen: None }
    }

    /// Signs the Lease where that is possible. Says whether it is ours now.
    pub(super) async fn stand(&mut self, cluster: &Cluster) -> Result<bool, ClusterError> {
        let lease = cluster.lease().await?.unwrap_or_default();
        let is_mine = self.holder(&lease) == Some(&*self.me);
        if !is_mine && !self.is_free(&lease, Instant::now()) {
            return Ok(false);
        }
        match cluster.write_lease(self.sign(lease, is_mine)).await {
            Ok(_) => Ok(true),
            // Somebody else has taken it.
            Err(ClusterError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives it back, so that nobody has to wait for its end.
    pub(super) async fn resign(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let Some(mut lease) = cluster.lease().await? else { return Ok(()) };
        if self.holder(&lease) != Some(&*self.me) {
            return Ok(());
        }
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
        }
        cluster.write_lease(lease).await.map(|_| ())
    }

    fn holder<'a>(&self, lease: &'a Lease) -> Option<&'a str> {
        lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// Has its holder gone?
    fn is_free(&mut self, lease: &Lease, now: Instant) -> bool {
        let (Some(holder), Some(spec)) = (self.holder(lease), &lease.spec) else { return true };
        let signature = Signature {
            holder: holder.to_owned(),
            renewed: spec.renew_time.clone(),
            transitions: spec.lease_transitions,
        };
        // The holder says for how long; one that says nothing has our settings.
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.lease_duration, Duration::from_secs);
        match &self.seen {
            Some((seen, since)) if *seen == signature => now.duration_since(*since) > duration,
            _ => {
                self.seen = Some((signature, now));
                false
            }
        }
    }

    fn sign(&self, mut lease: Lease, is_mine: bool) -> Lease {
        let now = Some(MicroTime(Timestamp::now()));
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.lease_duration.as_secs()).ok(),
            acquire_time: if is_mine { before.acquire_time } else { now.clone() },
            lease_transitions: Some(if is_mine { transitions } else { transitions.saturating_add(1) }),
            renew_time: now,
            ..LeaseSpec::default()
        });
        lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(me: &str) -> Election {
        Election::new(me.to_owned(), &KubernetesSettings::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_free_once_its_holder_has_been_silent_for_as_long_as_it_lasts_by_our_own_clock() {
        let (holder, mut other) = (candidate("a"), candidate("b"));
        let lease = holder.sign(Lease::default(), false);
        assert!(!other.is_free(&lease, Instant::now()), "just seen, however old it says it is");
        tokio::time::advance(Duration::from_secs(14)).await;
        let renewed = holder.sign(lease, true);
        assert!(!other.is_free(&renewed, Instant::now()));
        tokio::time::advance(Duration::from_secs(15)).await;
        assert!(!other.is_free(&renewed, Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(other.is_free(&renewed, Instant::now()));
        let taken = other.sign(renewed, false);
        assert_eq!(other.holder(&taken), Some("b"));
        assert_eq!(taken.spec.and_then(|spec| spec.lease_transitions), Some(2));
    }

    #[test]
    fn a_lease_that_was_given_back_is_free_at_once() {
        let mut lease = candidate("a").sign(Lease::default(), false);
        lease.spec.as_mut().expect("signed").holder_identity = Some(String::new());
        assert!(candidate("b").is_free(&lease, Instant::now()));
        assert!(candidate("b").is_free(&Lease::default(), Instant::now()));
    }
}
