//! Who is shed first. Four classes, as Google's SRE book has them ("Handling Overload"): under overload the least important
//! requests are given up early, so that the important ones need not be given up late.
//!
//! A class is a share of a limit: SHEDDABLE is let in while less than half of the limit is taken, CRITICAL_PLUS until all
//! of it is. So there is still room for something more important, without anything that has begun being stopped for it.

use std::{fmt, str::FromStr};

/// How much it matters that a request is answered; the least important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// Nobody notices: batch work, shadows, prefetching.
    Sheddable,
    /// May be answered later, or by another try: batch work that somebody waits for.
    SheddablePlus,
    /// A user waits for it. What says nothing is this.
    #[default]
    Critical,
    /// Must be answered while anything is.
    CriticalPlus,
}

impl Criticality {
    /// The least important first.
    pub const ALL: [Self; 4] = [Self::Sheddable, Self::SheddablePlus, Self::Critical, Self::CriticalPlus];

    /// As metadata, metrics and logs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "SHEDDABLE",
            Self::SheddablePlus => "SHEDDABLE_PLUS",
            Self::Critical => "CRITICAL",
            Self::CriticalPlus => "CRITICAL_PLUS",
        }
    }

    /// The part of a limit, in percent, that requests of this class and below may fill. What is sheddable leaves a half
    /// and a quarter, room for a burst of users; the last twentieth is for what must not wait behind ordinary users.
    pub const fn percent(self) -> usize {
        match self {
            Self::Sheddable => 50,
            Self::SheddablePlus => 75,
            Self::Critical => 95,
            Self::CriticalPlus => 100,
        }
    }

    /// How much of `limit` this class may fill: rounded up, so that an idle server with a limit of 1 takes everyone.
    pub const fn share_of(self, limit: usize) -> usize {
        limit.saturating_mul(self.percent()).div_ceil(100)
    }
}

impl fmt::Display for Criticality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Criticality {
    type Err = UnknownCriticality;

    /// In any case, and with hyphens as well, because people write headers both ways.
    fn from_str(text: &str) -> Result<Self, UnknownCriticality> {
        let same = |class: &Self| {
            let written =
                text.bytes().map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() });
            written.eq(class.as_str().bytes())
        };
        Self::ALL.into_iter().find(same).ok_or(UnknownCriticality)
    }
}

/// A text that names no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCriticality;

impl fmt::Display for UnknownCriticality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be one of SHEDDABLE, SHEDDABLE_PLUS, CRITICAL, CRITICAL_PLUS")
    }
}

impl std::error::Error for UnknownCriticality {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_class_is_read_as_it_is_written_in_any_case() {
        for class in Criticality::ALL {
            let written = class.as_str();
            for text in [written.to_owned(), written.to_lowercase(), written.replace('_', "-").to_lowercase()]
            {
                assert_eq!(text.parse(), Ok(class), "{text}");
            }
        }
        for text in ["", "CRITICAL ", "CRITICALPLUS", "important", "0"] {
            assert_eq!(text.parse::<Criticality>(), Err(UnknownCriticality), "{text}");
        }
    }

    #[test]
    fn the_more_important_may_always_fill_more_and_everyone_may_fill_something() {
        assert_eq!(Criticality::ALL.map(|class| class.share_of(100)), [50, 75, 95, 100]);
        assert_eq!(Criticality::ALL.map(|class| class.share_of(4)), [2, 3, 4, 4]);
        assert_eq!(Criticality::ALL.map(|class| class.share_of(1)), [1; 4]);
    }

    proptest! {
        #[test]
        fn a_share_never_exceeds_its_limit(limit in 0_usize..1 << 40) {
            for class in Criticality::ALL {
                prop_assert!(class.share_of(limit) <= limit);
            }
        }
    }
}
