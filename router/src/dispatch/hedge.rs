//! A second endpoint beside one that takes longer than most calls do. It shortens the slowest answers and costs a call each
//! time, so it has a budget of its own, and it is for a grid that is well: where endpoints fail or are busy, it would take
//! from calls that have no answer yet.
//!
//! Never on the same host: two processes on a small board share its cores, and the second call would slow down the first.
//! Hosts are told apart by the host part of the address, so on one machine 127.0.0.1 and 127.0.0.2 are two.

use nanogrid_telemetry::metrics::HedgeOutcome;
use tokio::time::Instant;

use super::{
    Dispatch,
    call::Leg,
    pick::{Picked, Tried, is_other, pick},
};
use crate::{catalog::Version, endpoint::Endpoint};

impl Dispatch {
    /// Who is asked beside the one that is slow; `None`: nobody may be.
    pub(super) fn may_hedge<'a>(&self, leg: &'a Leg<'a>, tried: &Tried<'_>) -> Option<Picked<'a>> {
        let picked = self.hedge(leg, tried);
        if picked.is_none() {
            leg.expert.allowance.metrics.hedged(HedgeOutcome::Denied);
        }
        picked
    }

    fn hedge<'a>(&self, leg: &'a Leg<'a>, tried: &Tried<'_>) -> Option<Picked<'a>> {
        let hedge = leg.expert.policy.hedge.as_ref()?;
        let usual = leg.version.pool.latency.p50()?;
        if leg.limit.left() < usual || !is_well(leg.version) {
            return None;
        }
        let (now, slow) = (Instant::now(), tried.last()?);
        let may = |endpoint: &Endpoint| is_other(endpoint, tried, now) && endpoint.host() != slow.host();
        let picked = pick(leg.version, tried, may)?;
        self.budget.withdraw(&leg.expert.allowance.hedges, hedge.budget).is_ok().then_some(picked)
    }
}

/// Is every breaker closed, and are enough endpoints idle? What an endpoint can take is not known here, but one without a
/// call is not busy: with more than 70 % of them at work, a hedge is likely to wait behind someone's first try.
fn is_well(version: &Version) -> bool {
    let ready = || version.endpoints.iter().filter(|endpoint| endpoint.is_ready());
    let n_busy = ready().filter(|endpoint| endpoint.history.load.pending() > 0).count();
    version.pool.gate.is_closed()
        && ready().all(|endpoint| endpoint.history.breaker.is_closed())
        && n_busy * 10 <= ready().count() * 7
}
