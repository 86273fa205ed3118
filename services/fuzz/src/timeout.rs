use http::{HeaderMap, HeaderValue};
use nanogrid_serving::{
    Deadline,
    deadline::{GRPC_TIMEOUT, format, parse},
};

/// The header `grpc-timeout` of a request.
///
/// # Panics
/// When a timeout that was read is not written as one that is no longer.
pub fn grpc_timeout(bytes: &[u8]) {
    // What is no header value at all is refused by HTTP/2.
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let time = match parse(&headers(value)) {
        Ok(time) => time.expect("the header is there"),
        Err(error) => {
            assert!(error.to_string().is_ascii(), "it goes into a header: {error}");
            return;
        }
    };
    assert!(Deadline::after(time).remaining() <= time);
    let again = parse(&headers(format(time))).expect("written by ourselves").expect("and there");
    // The units above microseconds round down; an hour is the coarsest.
    assert!(
        again <= time && time - again < std::time::Duration::from_secs(3600),
        "{time:?} became {again:?}"
    );
}

fn headers(value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(GRPC_TIMEOUT), value)])
}
