//! How much of a request's time a call inside it may take.

use std::time::Duration;

/// The smallest part that is kept back: a timer is not more exact than this.
const LEAST_RESERVE: Duration = Duration::from_millis(1);

/// Time for one call when `time_left` is left of the request, or `None` when a call makes no sense any more.
///
/// A part is kept back, so that an answer without this call can still be made and sent in time.
pub fn for_call(time_left: Duration) -> Option<Duration> {
    let reserve = (time_left / 20).max(LEAST_RESERVE);
    time_left.checked_sub(reserve).filter(|limit| !limit.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(time_left_us: u64, expected_us: Option<u64>) {
        let limit = for_call(Duration::from_micros(time_left_us));
        assert_eq!(limit, expected_us.map(Duration::from_micros));
    }

    #[test]
    fn keeps_back_a_twentieth_and_never_less_than_a_millisecond() {
        check(1_000_000, Some(950_000));
        check(20_000, Some(19_000));
        check(10_000, Some(9_000));
        check(1_001, Some(1));
    }

    #[test]
    fn gives_no_time_to_a_call_that_could_not_be_answered() {
        check(1_000, None);
        check(0, None);
    }
}
