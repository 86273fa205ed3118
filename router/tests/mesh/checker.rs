//! What every client may rely on, checked on every request of every test.

use std::{ops::Range, time::Duration};

use crate::load::{End, Record};

/// A reply may be this much later than the deadline; the simulated network's two milliseconds between client and router are in it.
const GRACE: Duration = Duration::from_millis(10);

/// The requests of a simulation that have kept the promise: each got one reply or status before its deadline + 10 ms.
#[derive(Debug)]
pub(crate) struct Checked(Vec<Record>);

impl Checked {
    /// # Panics
    /// With the requests that did not.
    pub(crate) fn all(records: Vec<Record>) -> Self {
        let is_broken =
            |record: &&Record| matches!(record.end, End::Nothing) || record.took > record.deadline + GRACE;
        let broken: Vec<&Record> = records.iter().filter(is_broken).collect();
        let n = (broken.len(), records.len());
        let some = &broken[..broken.len().min(5)];
        assert!(broken.is_empty(), "{} of {} without a reply or status in time, e.g. {some:#?}", n.0, n.1);
        Self(records)
    }

    /// Those sent in this time.
    pub(crate) fn sent(&self, during: Range<Duration>) -> Self {
        Self(self.0.iter().filter(|record| during.contains(&record.sent)).cloned().collect())
    }

    /// Those of the clients with this deadline.
    pub(crate) fn with_deadline(&self, deadline: Duration) -> Self {
        Self(self.0.iter().filter(|record| record.deadline == deadline).cloned().collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that got less than was asked for.
    pub(crate) fn lost(&self) -> Vec<&Record> {
        self.0.iter().filter(|record| !record.is_answered()).collect()
    }

    /// # Panics
    /// When more than `most` got less than was asked for, or when nothing was asked.
    #[track_caller]
    pub(crate) fn assert_lost_at_most(&self, most: usize) {
        let lost = self.lost();
        assert!(!self.0.is_empty(), "nothing was asked");
        let some = &lost[..lost.len().min(5)];
        assert!(lost.len() <= most, "{} of {} lost, at most {most}: {some:#?}", lost.len(), self.len());
    }
}
