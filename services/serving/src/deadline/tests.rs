use proptest::prelude::*;

use super::*;

fn headers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static(GRPC_TIMEOUT),
        HeaderValue::try_from(value).unwrap(),
    )])
}

#[track_caller]
fn check(value: &str, expected: Option<Duration>) {
    assert_eq!(parse(&headers(value)).ok().flatten(), expected, "{value}");
}

#[test]
fn reads_every_unit() {
    check("1H", Some(Duration::from_secs(3600)));
    check("2M", Some(Duration::from_secs(120)));
    check("3S", Some(Duration::from_secs(3)));
    check("4m", Some(Duration::from_millis(4)));
    check("5u", Some(Duration::from_micros(5)));
    check("6n", Some(Duration::from_nanos(6)));
    check("99999999H", Some(Duration::from_secs(99_999_999 * 3600)));
    check("0m", Some(Duration::ZERO));
}

#[test]
fn refuses_what_is_no_timeout() {
    for value in ["", "m", "12", "123456789m", "-1m", "+1m", "1.5S", "1 m", "1h", "1s", "10ms", "m1"] {
        check(value, None);
    }
}

#[test]
fn names_header_and_value_of_a_bad_timeout() {
    let error = parse(&headers("soon")).unwrap_err().to_string();
    assert!(error.starts_with("grpc-timeout: ") && error.ends_with("`soon`"), "{error}");
}

#[test]
fn escapes_what_is_not_ascii() {
    let mut headers = HeaderMap::new();
    headers.insert(GRPC_TIMEOUT, HeaderValue::from_bytes(b"\xff1m").unwrap());
    assert_eq!(parse(&headers).unwrap_err().value, "\\xff1m");
}

#[test]
fn has_none_without_a_header() {
    assert_eq!(parse(&HeaderMap::new()), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_every_clock_is_just_far() {
    assert!(Deadline::after(Duration::MAX).remaining() > Duration::from_secs(24 * 3600));
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let _ = parse(&HeaderMap::from_iter([(http::HeaderName::from_static(GRPC_TIMEOUT), value)]));
        }
    }

    #[test]
    fn reads_what_the_grammar_allows(count in 0u64..100_000_000, unit in "[HMSmun]") {
        let value = format!("{count}{unit}");
        prop_assert!(parse(&headers(&value)).unwrap().is_some());
    }

    #[test]
    fn what_is_written_is_read_back_never_longer_and_hardly_shorter(nanos in 0u64..=u64::MAX) {
        let time = Duration::from_nanos(nanos);
        let written = format(time);
        prop_assert!(written.len() <= 9);
        let read = timeout(written.as_bytes()).unwrap();
        prop_assert!(read <= time);
        // Eight digits: one part in 10^5 is lost where the unit changes, and a microsecond below.
        prop_assert!(time - read <= (time / 10_000).max(Duration::from_micros(1)), "{time:?} as {written:?}");
    }
}
