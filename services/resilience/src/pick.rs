//! Chooses an endpoint: the less loaded of two at random, among those whose breakers let calls through.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use crate::{Breaker, Load, Permit};

/// An endpoint as the picker sees it.
pub trait Endpoint {
    /// Its load.
    fn load(&self) -> &Load;
    /// Its breaker.
    fn breaker(&self) -> &Breaker;
}

/// Picks from a pool's connected endpoints, and takes the picked one's permit. Endpoints that `avoid` names (those already
/// tried) come only when there is no other. `None` only if the pool is empty: breakers never take the last endpoint.
pub fn admit<'a, E: Endpoint + 'a>(
    pool: impl Iterator<Item = &'a E> + Clone,
    avoid: impl Fn(&E) -> bool,
    now: Instant,
    random: &mut impl Rng,
) -> Option<(&'a E, Permit)> {
    let _ = (pool, avoid, now, random);
    unimplemented!()
}

/// The less loaded of two candidates at random. A candidate that is still warming up gives way as often as it is cold.
pub fn pick<T>(
    candidates: impl IntoIterator<Item = T>,
    load: impl Fn(&T) -> &Load,
    now: Instant,
    random: &mut impl Rng,
) -> Option<T> {
    let _ = (candidates.into_iter(), load, now, random);
    unimplemented!()
}

/// Whether a pool of `n_pool` connected endpoints may have `n_ejected_after` of them ejected: at most half, never the last.
pub const fn may_eject(n_pool: usize, n_ejected_after: usize) -> bool {
    n_ejected_after <= n_pool / 2
}

/// Whether so many are out that breakers are not believed any more: more than half.
pub const fn in_panic(n_pool: usize, n_out: usize) -> bool {
    !may_eject(n_pool, n_out)
}

/// The median of a pool's answer times; `None` for an empty pool.
pub fn median(rtts: impl IntoIterator<Item = Duration>) -> Option<Duration> {
    let mut rtts = rtts.into_iter().collect::<Vec<_>>();
    let middle = rtts.len() / 2;
    (!rtts.is_empty()).then(|| *rtts.select_nth_unstable(middle).1)
}
