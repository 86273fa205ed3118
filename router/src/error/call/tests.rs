use super::*;

const LIMIT: Duration = Duration::from_millis(20);

fn of(status: Status, has_passed: bool) -> CallError {
    CallError::of(status, &"10.0.3.7:7000".into(), LIMIT, has_passed)
}

#[test]
fn a_request_that_never_left_is_nobodys_fault_and_can_be_sent_again() {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let error = of(Status::from_error(Box::new(tonic::ConnectError(refused.into()))), false);
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
    assert_eq!((error.again(), error.verdict(true)), (Again::Free, Verdict::Neutral));
    assert_eq!(error.code(), Code::Unavailable);
}

#[test]
fn a_timer_that_says_cancelled_is_a_timeout() {
    for error in [
        of(Status::cancelled("Timeout expired"), true),
        of(Status::from_error(Box::new(TimeoutExpired(()))), false),
        of(Status::deadline_exceeded("late"), false),
    ] {
        assert_eq!(error.to_string(), "no answer within 20ms");
        assert!(error.again() == Again::Never && error.is_transient());
        assert_eq!((error.verdict(true), error.verdict(false)), (Verdict::Failure, Verdict::Neutral));
    }
    assert!(matches!(of(Status::cancelled("by the expert"), false), CallError::Failed { .. }));
}

#[test]
fn prudence_and_wrong_requests_do_not_speak_against_an_endpoint() {
    #[track_caller]
    fn check(status: Status, verdict: Verdict, again: Again) {
        let error = of(status, false);
        assert_eq!((error.verdict(true), error.again()), (verdict, again), "{error:?}");
    }
    check(Status::resource_exhausted(""), Verdict::Shed, Again::Never);
    check(Status::invalid_argument(""), Verdict::Success, Again::Never);
    check(Status::not_found(""), Verdict::Success, Again::Never);
    check(Status::unavailable(""), Verdict::Failure, Again::Anywhere);
    check(Status::internal(""), Verdict::Failure, Again::Elsewhere(RetryOn::Internal));
    check(Status::unknown(""), Verdict::Failure, Again::Elsewhere(RetryOn::Unknown));
    check(Status::data_loss(""), Verdict::Failure, Again::Elsewhere(RetryOn::DataLoss));
}

#[test]
fn pushback_is_milliseconds_or_no() {
    #[track_caller]
    fn check(told: &'static str, pushback: Pushback) {
        let mut status = Status::resource_exhausted("");
        status.metadata_mut().insert(metadata::RETRY_PUSHBACK, told.parse().unwrap());
        let error = of(status, false);
        assert_eq!((error.pushback(), error.again()), (Some(pushback), Again::Anywhere), "{told}");
    }
    check("30", Pushback::After(Duration::from_millis(30)));
    check("0", Pushback::After(Duration::ZERO));
    for no in ["-1", "soon", "", "1.5", "99999999999999999999999"] {
        check(no, Pushback::Never);
    }
    assert_eq!(of(Status::resource_exhausted(""), false).pushback(), None);
}

#[test]
fn what_an_expert_says_is_told_from_what_becomes_of_a_connection() {
    assert!(of(Status::unavailable("the model is broken"), false).was_said());
    assert!(of(Status::internal("a bug"), false).was_said());
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let broken = of(Status::from_error(Box::new(reset)), false);
    assert!(matches!(broken, CallError::Unreachable { .. }) && !broken.was_said(), "{broken:?}");
    assert!(!CallError::TimedOut { limit: LIMIT }.was_said());
}
