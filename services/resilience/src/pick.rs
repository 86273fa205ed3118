//! Chooses an endpoint: the less loaded of two at random, among those whose breakers let calls through.
//!
//! Two choices are nearly as good as looking at all, and unlike "the least loaded" they do not send every router's next call
//! to the same endpoint. Nothing is allocated, and no lock is taken but the picked breaker's.
//!
//! Breakers are believed only while they leave most of a pool: see [`may_eject`].
//!
//! What it is worth: three endpoints of 2 ms, 300 calls per second, one endpoint misbehaves for 60 s; no retries; the worst of
//! three seeds (`cargo test -p nanogrid-resilience --test balance -- --nocapture`). "Share" is that of the misbehaving
//! endpoint, "back" the time until it has a fifth of the calls after healing (or joining).
//!
//! | one of three | picker | errors | share | back |
//! |---|---|---|---|---|
//! | fails in 0.1 ms | random | 33.3 % | 33.3 % | 0 s |
//! | | plain peak-EWMA (10 s) | 66.8 % | 66.8 % | 0 s |
//! | | ours without breakers | 0.11 % | 0.11 % | 7 s |
//! | | ours | 0.07 % | 0.07 % | 8 s |
//! | fails 30 % | random | 10.2 % | 33.5 % | 0 s |
//! | | plain peak-EWMA (10 s) | 13.8 % | 45.0 % | 0 s |
//! | | ours, with or without breakers | 0.09 % | 0.36 % | 8 s |
//! | takes 50 ms | random | 0 | 33.3 % | 0 s |
//! | | plain peak-EWMA (10 s) | 0 | 0.03 % | 38 s |
//! | | ours, with or without breakers | 0 | 0.11 % | 8 s |
//! | is new | random | 0 | 36.8 % in the first second | 0 s |
//! | | plain peak-EWMA (30 ms at first) | 0 | 0 in the first second | 37 s |
//! | | ours, with or without breakers | 0 | 10.7 % in the first second | 4 s |

use std::{sync::Arc, time::Duration};

use rand::Rng;
use tokio::time::Instant;

use crate::{Breaker, Load, breaker::Permit};

/// An endpoint as the picker sees it.
pub trait Endpoint {
    /// Its load.
    fn load(&self) -> &Load;
    /// Its breaker.
    fn breaker(&self) -> &Breaker;
}

impl<E: Endpoint> Endpoint for Arc<E> {
    fn load(&self) -> &Load {
        (**self).load()
    }

    fn breaker(&self) -> &Breaker {
        (**self).breaker()
    }
}

/// Picks from a pool's connected endpoints, and takes the picked one's permit. Endpoints that `avoid` names (those already
/// tried) come only when there is no other. `None` only if the pool is empty: breakers never take the last endpoint.
pub fn admit<'a, E: Endpoint + 'a>(
    pool: impl Iterator<Item = &'a E> + Clone,
    avoid: impl Fn(&E) -> bool,
    now: Instant,
    random: &mut impl Rng,
) -> Option<(&'a E, Permit)> {
    let (n_pool, n_out) = pool.clone().fold((0, 0), |(n_pool, n_out), endpoint| {
        (n_pool + 1, n_out + usize::from(!endpoint.breaker().is_closed()))
    });
    if !in_panic(n_pool, n_out) {
        let open = pool.clone().filter(|endpoint| endpoint.breaker().would_admit(now));
        // Another caller may take the probe between looking and asking; the next look no longer shows it.
        for _ in 0..=n_out {
            let endpoint = pick_fresh(open.clone(), &avoid, now, random)?;
            if let Some(permit) = endpoint.breaker().admit() {
                return Some((endpoint, permit));
            }
        }
    }
    pick_fresh(pool, &avoid, now, random).map(|endpoint| (endpoint, endpoint.breaker().admit_anyway()))
}

fn pick_fresh<'a, E: Endpoint + 'a>(
    candidates: impl Iterator<Item = &'a E> + Clone,
    avoid: impl Fn(&E) -> bool,
    now: Instant,
    random: &mut impl Rng,
) -> Option<&'a E> {
    let fresh = candidates.clone().filter(|&endpoint| !avoid(endpoint));
    pick(fresh, |endpoint| endpoint.load(), now, random)
        .or_else(|| pick(candidates, |endpoint| endpoint.load(), now, random))
}

/// The less loaded of two candidates at random. A candidate that is still warming up gives way as often as it is cold, so
/// that among equals its share of the calls is its [`Load::warmth`] of the usual one.
pub fn pick<T>(
    candidates: impl IntoIterator<Item = T>,
    load: impl Fn(&T) -> &Load,
    now: Instant,
    random: &mut impl Rng,
) -> Option<T> {
    let (first, second) = two(candidates, random)?;
    let Some(second) = second else { return Some(first) };
    let mut gives_way = |candidate: &T| {
        let warmth = load(candidate).warmth(now);
        warmth < 1.0 && random.random::<f32>() >= warmth
    };
    let second_wins = match (gives_way(&first), gives_way(&second)) {
        (true, false) => true,
        (false, true) => false,
        // Equal costs (nobody was called yet) are no reason to prefer whoever stands first in the list.
        (true, true) | (false, false) => match load(&second).cost(now).total_cmp(&load(&first).cost(now)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => random.random(),
            std::cmp::Ordering::Greater => false,
        },
    };
    Some(if second_wins { second } else { first })
}

/// Two different candidates, each pair equally likely (reservoir sampling): one pass, since what passes a filter now may not
/// pass it in a second one.
fn two<T>(candidates: impl IntoIterator<Item = T>, random: &mut impl Rng) -> Option<(T, Option<T>)> {
    let mut candidates = candidates.into_iter();
    let mut first = candidates.next()?;
    let Some(mut second) = candidates.next() else { return Some((first, None)) };
    for (seen, candidate) in candidates.enumerate() {
        match random.random_range(0..seen as u32 + 3) {
            0 => first = candidate,
            1 => second = candidate,
            _ => {}
        }
    }
    Some((first, Some(second)))
}

/// Whether a pool of `n_pool` connected endpoints may do without `n_ejected_after` of them, the one in question counted: at
/// most half, rounded down, so never the last. Where more fail, it is more likely the network, the request or a new version
/// than they, and the rest could not carry the load.
pub const fn may_eject(n_pool: usize, n_ejected_after: usize) -> bool {
    n_ejected_after <= n_pool / 2
}

/// Whether so many are out that breakers are not believed any more: more than half, the usual panic threshold. It begins
/// exactly where [`may_eject`] ends.
pub const fn in_panic(n_pool: usize, n_out: usize) -> bool {
    !may_eject(n_pool, n_out)
}

/// The median of a pool's answer times; `None` for an empty pool.
pub fn median(rtts: impl IntoIterator<Item = Duration>) -> Option<Duration> {
    let mut rtts = rtts.into_iter().collect::<Vec<_>>();
    let middle = rtts.len() / 2;
    (!rtts.is_empty()).then(|| *rtts.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests;
