//! Which version of an expert a request sees, when it does not say.

use nanogrid_rollout::{ALL, Split};
use nanogrid_settings::{VersionLabel, grid};

/// What a rollout says about an expert's versions, in place of the grid file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steering {
    /// The rollout's id: it is not the same keys that come first in every rollout.
    pub salt: String,
    /// What everybody had before.
    pub stable: u32,
    /// What is being tried.
    pub canary: u32,
    /// The canary's share in basis points.
    pub weight: u32,
}

/// The versions of an expert with their shares; cheap to ask.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// By their places in the expert's list, in the order of the split.
    order: Box<[usize]>,
    split: Split,
}

impl Steering {
    /// Does the grid file have both versions?
    pub(super) fn fits(&self, versions: &[grid::Version]) -> bool {
        let has = |number| versions.iter().any(|version| version.version == number);
        has(self.stable) && has(self.canary)
    }

    /// Basis points.
    pub(super) fn weight_of(&self, version: u32) -> u32 {
        if version == self.canary {
            self.weight
        } else if version == self.stable {
            ALL - self.weight
        } else {
            0
        }
    }

    /// The canary is the stable version once it has all the traffic, and nobody's when it has lost it.
    pub(super) fn label_of(&self, version: u32) -> Option<VersionLabel> {
        let is_promoted = self.weight == ALL;
        if version == self.canary && is_promoted || version == self.stable && !is_promoted {
            Some(VersionLabel::Stable)
        } else if version == self.canary {
            Some(VersionLabel::Canary)
        } else {
            None
        }
    }
}

impl Traffic {
    /// The canary comes last: weight that it gains is taken from its neighbour, and never gives anybody back what he has.
    pub(super) fn new(salt: &str, versions: &[(u32, bool)]) -> Self {
        let mut order: Vec<usize> = (0..versions.len()).collect();
        order.sort_by_key(|&idx| versions[idx].1);
        let split = Split::try_new(salt, order.iter().map(|&idx| versions[idx].0));
        Self { order: order.into(), split: split.expect("weights are checked where they come from") }
    }

    /// The place of the version that `key` sees.
    pub fn pick(&self, key: &[u8]) -> usize {
        self.order[self.split.pick(key)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_that_grows_never_gives_anybody_back_whatever_its_place_in_the_file() {
        let at = |weight| Traffic::new("rollout-1", &[(weight, true), (ALL - weight, false), (0, false)]);
        let mut n_before = 0;
        for weight in [0, 100, 500, 2_500, 5_000, ALL] {
            let has_it = |traffic: &Traffic, key: u32| traffic.pick(&key.to_le_bytes()) == 0;
            let (now, next) = (at(weight), at((2 * weight).min(ALL)));
            let n_now = (0..2_000).filter(|&key| has_it(&now, key)).count();
            assert!((0..2_000).all(|key| !has_it(&now, key) || has_it(&next, key)), "{weight}");
            assert!(n_now >= n_before);
            n_before = n_now;
        }
        assert_eq!(n_before, 2_000);
    }

    #[test]
    fn labels_follow_a_rollout() {
        let steering = |weight| Steering { salt: String::new(), stable: 1, canary: 2, weight };
        let labels = |weight| [1, 2, 3].map(|version| steering(weight).label_of(version));
        assert_eq!(labels(500), [Some(VersionLabel::Stable), Some(VersionLabel::Canary), None]);
        assert_eq!(labels(ALL), [None, Some(VersionLabel::Stable), None]);
    }
}
