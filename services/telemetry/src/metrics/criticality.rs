//! How important a request is, as a label: router and experts shed by it, and their counters are read side by side.

use super::label::label;

label! {
    /// Who is shed last; the least important first.
    Criticality {
        /// Can wait for hours.
        Sheddable => "SHEDDABLE",
        /// Can be done without for minutes.
        SheddablePlus => "SHEDDABLE_PLUS",
        /// Someone waits for it.
        Critical => "CRITICAL",
        /// Nothing is more important.
        CriticalPlus => "CRITICAL_PLUS",
    }
}
