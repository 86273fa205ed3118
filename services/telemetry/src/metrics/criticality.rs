//! How important a request is, as a label: router and experts shed by it, and are read side by side.

use super::label::label;

label! {
    /// Who is shed last; the least important first.
    Criticality {
        /// Can wait for hours.
        Sheddable => "sheddable",
        /// Can be done without for minutes.
        SheddablePlus => "sheddable_plus",
        /// Someone waits for it.
        Critical => "critical",
        /// Nothing is more important.
        CriticalPlus => "critical_plus",
    }
}
