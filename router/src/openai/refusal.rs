//! What an HTTP status means in gRPC's words. Pure. No message holds the API key, whatever the server says.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use nanogrid_serving::status::metadata;
use nanogrid_settings::ApiKey;
use serde::Deserialize;
use tonic::Status;

/// Whatever a server says, it is asked again after this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Of what a server says, so many characters are told.
const MAX_WORDS: usize = 300;

/// The status of a request that was answered with anything but 2xx.
pub(super) fn status(
    status: StatusCode,
    wait: Option<Duration>,
    body: &[u8],
    key: Option<&ApiKey>,
) -> Status {
    let said = format!("HTTP {status}{}", words(body, key));
    match status {
        // Nothing of what it says: some servers repeat the key.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Status::failed_precondition(format!(
            "it does not accept the API key (HTTP {status}): check `escalation.openai.api-key` or `api-key-file`"
        )),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Status::invalid_argument(said)
        }
        _ if is_for_now(status) => match wait {
            Some(wait) => later(Status::unavailable(said), wait),
            None => Status::unavailable(said),
        },
        _ if status.is_server_error() => Status::internal(said),
        // Redirections too: the key goes nowhere but to the server that it is for.
        _ => Status::failed_precondition(format!("{said}: check `escalation.openai.url` and `model`")),
    }
}

/// May the same request succeed in a while?
pub(super) fn is_for_now(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    ) || status.as_u16() == OVERLOADED
}

/// What some servers say instead of 503.
const OVERLOADED: u16 = 529;

/// `Retry-After`: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let told = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match told.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(told).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// With the word that says when to come back (gRFC A6).
pub(super) fn later(mut status: Status, wait: Duration) -> Status {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    status.metadata_mut().insert(metadata::RETRY_PUSHBACK, millis.into());
    status
}

/// As much of it as fits into a status, which is a header.
pub(super) fn brief(said: &str) -> String {
    said.chars().filter(|char| !char.is_control()).take(MAX_WORDS).collect()
}

/// `{"error": {"message": "..."}}`, or `{"error": "..."}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Table { error: Message },
    Text { error: String },
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

fn words(body: &[u8], key: Option<&ApiKey>) -> String {
    let said = match serde_json::from_slice(body) {
        Ok(Said::Table { error: Message { message } }) => message,
        Ok(Said::Text { error }) => error,
        Err(_) => return String::new(),
    };
    let said = match key {
        Some(key) => said.replace(key.reveal(), "[the API key]"),
        None => said,
    };
    let said = brief(&said);
    if said.is_empty() { said } else { format!(": {said}") }
}

#[cfg(test)]
mod tests;
