use http::HeaderValue;

use super::*;

#[track_caller]
fn waits(told: &'static str, expected: Option<u64>) {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_static(told));
    // 21 October 2015, 07:28:00
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
    assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{told}");
}

#[test]
fn a_server_says_when_to_come_back_in_seconds_or_by_a_date() {
    waits("7", Some(7));
    waits("0", Some(0));
    waits("Wed, 21 Oct 2015 07:28:30 GMT", Some(30));
    waits("Wed, 21 Oct 2015 07:00:00 GMT", Some(0));
    waits("86400", Some(60));
    waits("Thu, 22 Oct 2015 07:28:00 GMT", Some(60));
    waits("soon", None);
    waits("-1", None);
    assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
}

#[track_caller]
fn says(body: &str, expected: &str) {
    let told = status(StatusCode::INTERNAL_SERVER_ERROR, None, body.as_bytes(), None);
    assert_eq!(told.message(), format!("HTTP 500 Internal Server Error{expected}"));
}

#[test]
fn what_a_server_says_is_told_as_far_as_it_can_be_read() {
    says(r#"{"error": {"message": "no memory", "type": "x"}}"#, ": no memory");
    says(r#"{"error": "no memory"}"#, ": no memory");
    says(r#"{"error": {"message": ""}}"#, "");
    says("<html>no memory</html>", "");
    says("", "");
    says("{\"error\": \"two\\nlines\"}", ": twolines");
    let long = "x".repeat(100_000);
    let told = status(StatusCode::BAD_REQUEST, None, format!(r#"{{"error": "{long}"}}"#).as_bytes(), None);
    assert!(told.message().len() < 400, "it has to fit into a header");
}
