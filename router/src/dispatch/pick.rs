//! Which endpoint is asked: the less loaded of two at random, among those that are ready, whose breakers let calls through,
//! that have not been tried for this call, and that have not gone silent. Each of these wishes is given up before a call
//! is: see [`nanogrid_resilience::pick::admit`].

use nanogrid_resilience::{breaker::Permit, pick};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    catalog::Version,
    endpoint::{Connection, Endpoint},
};

/// Who is asked next, with its breaker's leave.
pub(super) struct Picked<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) connection: Connection,
    pub(super) permit: Permit,
}

/// Who has been asked for this call.
#[derive(Debug, Default)]
pub(super) struct Tried<'a> {
    endpoints: SmallVec<[&'a Endpoint; 4]>,
    /// Of these, requests that never left.
    n_unsent: u32,
    /// A second endpoint was asked because the first was slower than most calls.
    pub(super) is_hedged: bool,
    /// An expert said of a try what speaks against its version.
    pub(super) has_failed: bool,
}

impl<'a> Tried<'a> {
    pub(super) fn push(&mut self, endpoint: &'a Endpoint) {
        self.endpoints.push(endpoint);
    }

    pub(super) fn was_unsent(&mut self) {
        self.n_unsent += 1;
    }

    /// How often someone was asked.
    pub(super) fn n_attempts(&self) -> u32 {
        u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX)
    }

    /// How often a request did not leave.
    pub(super) fn n_unsent(&self) -> u32 {
        self.n_unsent
    }

    /// What counts as tries: what never left costs nobody anything, and a hedge has a budget of its own.
    pub(super) fn n_counted(&self) -> u32 {
        self.n_attempts() - self.n_unsent - u32::from(self.is_hedged)
    }

    pub(super) fn has(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.iter().any(|tried| std::ptr::eq(*tried, endpoint))
    }

    pub(super) fn last(&self) -> Option<&'a Endpoint> {
        self.endpoints.last().copied()
    }
}

/// One of `version`'s endpoints that `may` be asked.
pub(super) fn pick<'a>(
    version: &'a Version,
    tried: &Tried<'_>,
    may: impl Fn(&Endpoint) -> bool + Copy,
) -> Option<Picked<'a>> {
    one_of(version, tried, |endpoint| endpoint.is_ready() && may(endpoint))
        // This request was planned with a grid that has been replaced since.
        .or_else(|| one_of(version, tried, |endpoint| endpoint.is_draining() && may(endpoint)))
}

fn one_of<'a>(
    version: &'a Version,
    tried: &Tried<'_>,
    may: impl Fn(&Endpoint) -> bool + Copy,
) -> Option<Picked<'a>> {
    let now = Instant::now();
    let random = &mut rand::rng();
    let pool = version.endpoints.iter().map(|endpoint| &**endpoint).filter(|endpoint| may(endpoint));
    // Its state may change between two looks; so often in a row that nobody is left, it does not.
    version.endpoints.iter().find_map(|_again| {
        let avoid = |endpoint: &Endpoint| tried.has(endpoint) || endpoint.history.is_silent();
        let (endpoint, permit) = pick::admit(pool.clone(), avoid, now, random)?;
        Some(Picked { endpoint, connection: endpoint.connection()?, permit })
    })
}

/// Is there an endpoint that has not been tried, and is likely to answer?
pub(super) fn has_other(version: &Version, tried: &Tried<'_>) -> bool {
    let now = Instant::now();
    version.endpoints.iter().any(|endpoint| is_other(endpoint, tried, now))
}

/// Has it not been tried, and is it likely to answer?
pub(super) fn is_other(endpoint: &Endpoint, tried: &Tried<'_>, now: Instant) -> bool {
    endpoint.is_ready()
        && !tried.has(endpoint)
        && !endpoint.history.is_silent()
        && endpoint.history.breaker.would_admit(now)
}
