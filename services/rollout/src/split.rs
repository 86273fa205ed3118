//! Splits requests among the versions of an expert by weight and by key.
//!
//! The same key gets the same version for as long as the weights stay, on every router, without anybody remembering
//! anything: a user does not see a canary in one answer and the stable version in the next. A salt per expert keeps the
//! first to try one canary from being the first to try all of them.
//!
//! ```text
//! buckets   0                                        9500     10000
//!           |------------ version 1: 9500 -------------|- 2: 500 -|
//!                                               <----- grows this way
//! ```
//!
//! Versions lie side by side on the line of buckets, so weight that moves from one to its neighbour moves only keys between
//! these two: raising a canary step by step never takes it away from anyone who has it. So a canary belongs last.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Basis points in the whole: 100 %.
pub const ALL: u32 = 10_000;

/// Versions by share of requests. Made once, when the weights are read; picking neither locks nor allocates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    seed: u64,
    /// Per version the bucket after its last one; the last is [`ALL`].
    ends: Box<[u32]>,
}

/// Weights that do not sum to [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weights must sum to {ALL} basis points: {0}")]
pub struct WrongSum(pub u64);

impl Split {
    /// Versions by their weights in basis points, in order. `salt` is the name of what is split, e.g. the expert's.
    pub fn try_new(salt: &str, weights: impl IntoIterator<Item = u32>) -> Result<Self, WrongSum> {
        let mut sum = 0_u64;
        let ends = weights.into_iter().map(|weight| {
            sum = sum.saturating_add(weight.into());
            u32::try_from(sum).unwrap_or(u32::MAX)
        });
        let ends = ends.collect();
        if sum == u64::from(ALL) {
            Ok(Self { seed: xxh3_64(salt.as_bytes()), ends })
        } else {
            Err(WrongSum(sum))
        }
    }

    /// The place of the version that `key` sees. A request that brings no key takes a random one, such as its trace id.
    pub fn pick(&self, key: &[u8]) -> usize {
        // One version needs no hash.
        if self.ends.len() == 1 {
            return 0;
        }
        let bucket = xxh3_64_with_seed(key, self.seed) % u64::from(ALL);
        // The first that ends behind the bucket: versions without weight end where they begin.
        self.ends.partition_point(|end| u64::from(*end) <= bucket)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Up to five weights that sum to the whole, some of them 0.
    fn weights() -> impl Strategy<Value = Vec<u32>> {
        vec(prop_oneof![2 => 0..=ALL, 1 => Just(0), 1 => Just(ALL)], 0..5).prop_map(|mut cuts| {
            cuts.extend([0, ALL]);
            cuts.sort_unstable();
            cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
        })
    }

    fn split(salt: &str, weights: &[u32]) -> Split {
        Split::try_new(salt, weights.iter().copied()).expect("the weights sum to 10 000")
    }

    proptest! {
        #[test]
        fn every_key_has_a_version_and_keeps_it(salt: String, key: Vec<u8>, weight in 0..=ALL) {
            let split = split(&salt, &[weight, ALL - weight]);
            prop_assert!(split.pick(&key) < 2);
            prop_assert_eq!(split.pick(&key), split.clone().pick(&key));
        }

        #[test]
        fn a_canary_that_grows_takes_keys_and_gives_none_back(key: Vec<u8>, one in 0..=ALL, other in 0..=ALL) {
            let (less, more) = (one.min(other), one.max(other));
            if split("intent", &[ALL - less, less]).pick(&key) == 1 {
                prop_assert_eq!(split("intent", &[ALL - more, more]).pick(&key), 1);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shares_follow_the_weights(weights in weights(), salt in ".{0,8}") {
            const N_KEYS: u32 = 20_000;
            let split = split(&salt, &weights);
            let mut counts = vec![0_u32; weights.len()];
            (0..N_KEYS).for_each(|key| counts[split.pick(&key.to_le_bytes())] += 1);
            for (count, weight) in counts.into_iter().zip(&weights) {
                let expected = N_KEYS / ALL * weight;
                // More than five standard deviations of a share of one half.
                prop_assert!(count.abs_diff(expected) < 400, "{count} instead of {expected} with {weights:?}");
            }
        }

        #[test]
        fn a_version_without_weight_is_never_picked(weights in weights(), key: Vec<u8>) {
            prop_assert!(weights[split("intent", &weights).pick(&key)] > 0);
        }

        #[test]
        fn weight_that_moves_to_the_neighbour_moves_no_other_keys(
            weights in weights(),
            i: prop::sample::Index,
            part in 0.0..1.0,
            key: Vec<u8>,
        ) {
            prop_assume!(weights.len() > 1);
            let i = i.index(weights.len() - 1);
            let moved = (f64::from(weights[i]) * part) as u32;
            let mut after = weights.clone();
            after[i] -= moved;
            after[i + 1] += moved;
            let (before, after) = (split("intent", &weights).pick(&key), split("intent", &after).pick(&key));
            prop_assert!(before == after || (before, after) == (i, i + 1));
        }
    }

    #[test]
    fn keys_stay_where_they_are_from_release_to_release() {
        // Other values here would move every user of every canary. Taken from the first release.
        let split = split("intent", &[2_500; 4]);
        let versions: Vec<_> = (0..8_u8).map(|key| split.pick(&[key])).collect();
        assert_eq!(versions, [0, 1, 3, 2, 1, 2, 2, 0]);
    }

    #[test]
    fn experts_split_independently() {
        let (intent, topic) = (split("intent", &[5_000, 5_000]), split("topic", &[5_000, 5_000]));
        let both = |key: &u32| intent.pick(&key.to_le_bytes()) == 1 && topic.pick(&key.to_le_bytes()) == 1;
        let n_both = (0..10_000_u32).filter(both).count();
        // A quarter in the mean, with a standard deviation of 43.
        assert!(n_both.abs_diff(2_500) < 215, "{n_both}");
    }

    #[test]
    fn weights_that_are_not_the_whole_are_refused() {
        let refused = |weights: &[u32]| Split::try_new("intent", weights.iter().copied()).unwrap_err();
        assert_eq!(refused(&[5_000, 4_999]), WrongSum(9_999));
        assert_eq!(refused(&[u32::MAX, u32::MAX]), WrongSum(2 * u64::from(u32::MAX)));
        assert_eq!(refused(&[]), WrongSum(0));
    }
}
