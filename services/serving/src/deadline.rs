//! The moment after which nobody waits for an answer any more.
//!
//! It is kept as an instant, never as a duration: a duration is wrong as soon as time was spent. Only on the wire,
//! where clocks differ, it is a duration again (`grpc-timeout`).

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

/// Header of the time a client gives a call.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// When the answer must have been given. In the extensions of every request whose client set a `grpc-timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        let now = Instant::now();
        // Hours with eight digits are more than some clocks can hold; nobody waits for a month either.
        Self(now + time.min(FAR))
    }

    /// The deadline of a request, from `tonic::Request::extensions` or `http::Request::extensions`.
    pub fn from_extensions(extensions: &http::Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// The time left; zero when it has passed.
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Has it passed?
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }
}

/// A `grpc-timeout` that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{GRPC_TIMEOUT}: must be 1 to 8 digits and one of the units H M S m u n, e.g. `250m`: `{value}`")]
pub struct BadTimeout {
    /// As received; what is not ASCII is escaped.
    pub value: String,
}

/// Reads `grpc-timeout`; `None` when there is none.
pub fn parse(headers: &HeaderMap) -> Result<Option<Duration>, BadTimeout> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    match timeout(value.as_bytes()) {
        Some(time) => Ok(Some(time)),
        None => Err(BadTimeout { value: value.as_bytes().escape_ascii().to_string() }),
    }
}

/// Writes a `grpc-timeout` in the finest unit that takes eight digits. It is never longer than `time`.
pub fn format(time: Duration) -> HeaderValue {
    let units = [
        (time.as_micros(), 'u'),
        (time.as_millis(), 'm'),
        (u128::from(time.as_secs()), 'S'),
        (u128::from(time.as_secs() / 3600), 'H'),
    ];
    let (count, unit) = units.into_iter().find(|(count, _)| *count <= MOST).unwrap_or((MOST, 'H'));
    HeaderValue::try_from(format!("{count}{unit}")).expect("digits and a letter are a header value")
}

fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Eight digits.
const MOST: u128 = 99_999_999;

const FAR: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests;
