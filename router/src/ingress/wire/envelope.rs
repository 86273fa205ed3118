//! What comes beside a message: metadata and the deadline of the call.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use nanogrid_resilience::Criticality;
use nanogrid_serving::{Deadline, status::metadata};
use tokio::time::Instant;
use tonic::{Extensions, metadata::MetadataMap};

use super::Limits;
use crate::{
    dispatch::PREVIOUS_ATTEMPTS,
    error::Error,
    request::{Split, SplitKey, VersionChoice},
};

/// Metadata, checked. On a stream it holds for every message.
#[derive(Clone, Debug)]
pub(in crate::ingress) struct Envelope {
    /// `grpc-timeout`, counted from when the call arrived.
    deadline: Option<Instant>,
    /// `x-nanogrid-sticky`
    sticky: Option<String>,
    /// `x-nanogrid-version`
    version: Option<VersionChoice>,
    /// `x-nanogrid-criticality`
    criticality: Criticality,
    /// Every `x-nanogrid-*` but the version, which is decided here.
    forwarded: HeaderMap,
}

const PREFIX: &str = "x-nanogrid-";
const STICKY: HeaderName = HeaderName::from_static(metadata::STICKY);
const VERSION: HeaderName = HeaderName::from_static(metadata::VERSION);
const CRITICALITY: HeaderName = HeaderName::from_static(metadata::CRITICALITY);
const MAX_KEY_BYTES: usize = 256;

impl Envelope {
    pub(in crate::ingress) fn read(headers: &MetadataMap, extensions: &Extensions) -> Result<Self, Error> {
        let headers = headers.as_ref();
        let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with(PREFIX) && **name != VERSION);
        let mut forwarded: HeaderMap = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in &forwarded {
            if !name.as_str().ends_with("-bin") && value.to_str().is_err() {
                return Err(Error::invalid(name.as_str(), "must be visible ASCII"));
            }
        }
        let version = one(headers, &VERSION)?.map(|version| {
            version.parse().map_err(|reason: String| Error::invalid(VERSION.as_str(), reason))
        });
        let criticality = one(&forwarded, &CRITICALITY)?.map(criticality).transpose()?.unwrap_or_default();
        let sticky = one(&forwarded, &STICKY)?.map(|key| sticky(STICKY.as_str(), key)).transpose()?;
        // Said also where the client does not: the experts shed by it.
        forwarded.insert(CRITICALITY, HeaderValue::from_static(criticality.as_str()));
        // A client that retries by itself says so (gRFC A6), and gets fewer retries from us.
        if let Some(n_before) = headers.get(PREVIOUS_ATTEMPTS) {
            forwarded.insert(PREVIOUS_ATTEMPTS, n_before.clone());
        }
        Ok(Self {
            deadline: Deadline::from_extensions(extensions).map(|deadline| deadline.0),
            sticky,
            version: version.transpose()?,
            criticality,
            forwarded,
        })
    }

    /// When the call must have been answered, whatever its message says.
    pub(in crate::ingress) fn deadline(&self, limits: &Limits, now: Instant) -> Result<Instant, Error> {
        self.deadline_within(None, limits, now)
    }

    /// The earlier of what the message and the call say, within the limits.
    pub(super) fn deadline_within(
        &self,
        option: Option<Duration>,
        limits: &Limits,
        now: Instant,
    ) -> Result<Instant, Error> {
        let limit = match (option, self.deadline) {
            (Some(option), _) => option.min(limits.max_deadline),
            (None, Some(_)) => limits.max_deadline,
            (None, None) => limits.default_deadline.min(limits.max_deadline),
        };
        let deadline = self.deadline.map_or(now + limit, |call| call.min(now + limit));
        if deadline <= now { Err(Error::Expired) } else { Ok(deadline) }
    }

    /// With what the message itself says: it wins.
    pub(super) fn with_fields(
        mut self,
        sticky_key: &str,
        criticality: Option<Criticality>,
    ) -> Result<Self, Error> {
        if !sticky_key.is_empty() {
            self.sticky = Some(sticky("sticky_key", sticky_key)?);
            // A key may hold what no header may; the experts then do without.
            match HeaderValue::from_str(sticky_key) {
                Ok(key) => self.forwarded.insert(STICKY, key),
                Err(_) => self.forwarded.remove(STICKY),
            };
        }
        if let Some(criticality) = criticality {
            self.criticality = criticality;
            self.forwarded.insert(CRITICALITY, HeaderValue::from_static(criticality.as_str()));
        }
        Ok(self)
    }

    /// Who is shed first.
    pub(in crate::ingress) fn criticality(&self) -> Criticality {
        self.criticality
    }

    /// Which versions the request sees, and what goes on to the experts.
    pub(in crate::ingress) fn into_parts(self) -> (Split, HeaderMap) {
        let key = self.sticky.map_or_else(|| SplitKey::Random(rand::random()), SplitKey::Sticky);
        (Split { version: self.version, key }, self.forwarded)
    }
}

fn sticky(field: &str, key: &str) -> Result<String, Error> {
    if key.len() > MAX_KEY_BYTES {
        let reason = format!("must be at most {MAX_KEY_BYTES} bytes long: {}", key.len());
        return Err(Error::invalid(field, reason));
    }
    Ok(key.to_owned())
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Error::invalid(name.as_str(), "must be given once")),
        (Some(value), None) => match value.to_str() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Error::invalid(name.as_str(), "must be visible ASCII")),
        },
    }
}

fn criticality(word: &str) -> Result<Criticality, Error> {
    word.parse().map_err(|unknown| Error::invalid(CRITICALITY.as_str(), format!("{unknown}: `{word}`")))
}
