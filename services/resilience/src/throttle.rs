//! Refuses here what would be refused there anyway.

use rand::Rng;

/// The client-side throttle of the SRE book ("Handling Overload").
#[derive(Debug)]
pub struct Throttle {}

impl Throttle {
    /// Lets everything through until refusals are recorded.
    pub fn new() -> Self {
        unimplemented!()
    }

    /// Whether to try at all. A refusal here counts as a request that was not accepted.
    pub fn admit(&self, random: &mut impl Rng) -> bool {
        let _ = random;
        unimplemented!()
    }

    /// How an admitted call ended: `false` if it was shed or nobody could be reached.
    pub fn record(&self, accepted: bool) {
        let _ = accepted;
        unimplemented!()
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}
