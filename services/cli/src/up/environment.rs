//! What the environment of `up` means to the processes it starts. Settings in it are meant for one kind of process, and
//! the other kind refuses what it does not know: each is given what is its own.

use std::ffi::{OsStr, OsString};

/// Set for every process.
pub(crate) const FOR_ALL: [(&str, &str); 3] = [
    // No balancer has to notice the end of a process here before it begins.
    ("NANOGRID__SERVER__DRAIN__SERVE_ON", "0s"),
    ("NANOGRID__SERVER__DRAIN__HARD_STOP", "10s"),
    // The last line of a log is to be the reason, whatever is set where `up` runs.
    ("RUST_LIB_BACKTRACE", "0"),
];

/// Where the router keeps what its rollouts are doing.
pub(crate) const ROLLOUTS: &str = "NANOGRID__ROLLOUTS__STATE";

/// Which experts the router's classifier may know without there being any.
pub(crate) const OPTIONAL: &str = "NANOGRID__CLASSIFIER__OPTIONAL";

/// Which settings a process does not know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Router,
    Expert,
}

impl Kind {
    /// The variables of the other kind of process.
    pub(crate) fn foreign(self) -> Vec<OsString> {
        std::env::vars_os().map(|(name, _)| name).filter(|name| self.is_foreign(name)).collect()
    }

    fn is_foreign(self, name: &OsStr) -> bool {
        let tables: &[&str] = match self {
            Self::Router => &["PACKAGES", "INFERENCE"],
            Self::Expert => {
                &["GRID", "CLASSIFIER", "ESCALATION", "REQUEST", "ADMISSION", "FAULTS", "ROLLOUTS", "SHADOW"]
            }
        };
        let table = name.to_str().and_then(|name| name.strip_prefix("NANOGRID__")?.split("__").next());
        table.is_some_and(|table| tables.contains(&table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_is_given_the_settings_that_it_knows() {
        let is_foreign = |kind: Kind, name: &str| kind.is_foreign(OsStr::new(name));
        assert!(is_foreign(Kind::Router, "NANOGRID__INFERENCE__WORKERS"));
        assert!(is_foreign(Kind::Expert, "NANOGRID__REQUEST__MAX_EXPERTS"));
        assert!(is_foreign(Kind::Expert, ROLLOUTS));
        for kind in [Kind::Router, Kind::Expert] {
            assert!(!is_foreign(kind, "NANOGRID__SERVER__MAX_MESSAGE"));
            assert!(
                !is_foreign(kind, "NANOGRID__A_TABLE_THAT_NOBODY_KNOWS__KEY"),
                "is to be refused, not swallowed"
            );
            assert!(!is_foreign(kind, "HOME"));
        }
    }
}
