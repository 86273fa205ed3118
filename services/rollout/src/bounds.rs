//! How bad a rate may still be, given what was seen, however often one looks.
//!
//! The bounds are a confidence sequence: with probability `1 - alpha` the true rate is inside at every moment, not only at one
//! chosen in advance. Those rates are inside under which a Bayesian with a Beta prior would not have become `1/alpha` times
//! richer by betting against them (the method of mixtures: Robbins, 1970; Howard et al., "Time-uniform, nonparametric,
//! nonasymptotic confidence sequences", Annals of Statistics 49(2), 2021).

use statrs::function::beta::ln_beta;

use crate::evidence::{Arms, Tally};

/// Jeffreys' prior: for rates near 0, where ours are, it is tight from the first hundred requests on.
const PRIOR: f64 = 0.5;

/// Halving the interval this often leaves an error below any count of requests.
const HALVINGS: usize = 50;

/// The highest rate that is still believable.
pub fn upper(tally: Tally, alpha: f64) -> f64 {
    let Some(seen) = tally.rate() else { return 1.0 };
    edge(tally, alpha, seen, 1.0)
}

/// The lowest rate that is still believable.
pub fn lower(tally: Tally, alpha: f64) -> f64 {
    let Some(seen) = tally.rate() else { return 0.0 };
    edge(tally, alpha, seen, 0.0)
}

/// The most by which the canary's rate may exceed the stable version's.
pub fn most_harm(arms: &Arms, alpha: f64) -> f64 {
    upper(arms.canary, alpha / 2.0) - lower(arms.stable, alpha / 2.0)
}

/// Between `inside`, which is believable, and `outside`.
fn edge(tally: Tally, alpha: f64, mut inside: f64, mut outside: f64) -> f64 {
    let (bad, good) = (tally.bad as f64, (tally.n - tally.bad) as f64);
    let ln_mixture = ln_beta(bad + PRIOR, good + PRIOR) - ln_beta(PRIOR, PRIOR);
    let is_believable = |rate: f64| {
        // 0 * ln 0 is 0 here: what did not happen says nothing.
        let ln = |count: f64, rate: f64| if count == 0.0 { 0.0 } else { count * rate.ln() };
        ln_mixture - ln(bad, rate) - ln(good, 1.0 - rate) < -alpha.ln()
    };
    if is_believable(outside) {
        return outside;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(inside, outside);
        if is_believable(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    // The far side: a bound that is off by a hair is off to the safe side.
    outside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_seen_bounds_nothing() {
        assert_eq!((lower(Tally::default(), 0.05), upper(Tally::default(), 0.05)), (0.0, 1.0));
    }

    #[test]
    fn a_thousand_requests_without_an_error_leave_little_room() {
        let bound = upper(Tally { n: 1_000, bad: 0 }, 0.05);
        assert!((0.003..0.012).contains(&bound), "{bound}");
        assert_eq!(lower(Tally { n: 1_000, bad: 0 }, 0.05), 0.0);
        assert_eq!(upper(Tally { n: 1_000, bad: 1_000 }, 0.05), 1.0);
    }

    proptest! {
        #[test]
        fn what_was_seen_is_inside_and_more_of_it_narrows_the_bounds(n in 1_u64..5_000, share in 0.0..=1.0_f64) {
            let bad = (n as f64 * share) as u64;
            let (few, many) = (Tally { n, bad }, Tally { n: 4 * n, bad: 4 * bad });
            let seen = bad as f64 / n as f64;
            prop_assert!(lower(few, 0.05) <= seen && seen <= upper(few, 0.05));
            let width = |tally| upper(tally, 0.05) - lower(tally, 0.05);
            prop_assert!(width(many) <= width(few) + 1e-9);
        }
    }
}
