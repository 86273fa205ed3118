//! From messages to values.

use std::{collections::HashSet, num::NonZeroUsize, time::Duration};

use bytes::Bytes;
use nanogrid_proto::v1;
use nanogrid_resilience::Criticality;
use nanogrid_settings::RouterSettings;
use nanogrid_telemetry::metrics::FeedbackKind;
use tokio::time::Instant;

use super::Envelope;
use crate::{
    error::Error,
    request::{MergePolicy, Payload, Request},
};

/// How much a request may hold, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_text_bytes: usize,
    pub(crate) max_media_bytes: usize,
    pub(crate) default_deadline: Duration,
    pub(crate) max_deadline: Duration,
}

impl From<&RouterSettings> for Limits {
    fn from(settings: &RouterSettings) -> Self {
        Self {
            max_text_bytes: settings.max_text_bytes,
            max_media_bytes: settings.max_media_bytes,
            default_deadline: settings.default_deadline,
            max_deadline: settings.max_deadline,
        }
    }
}

/// A request that arrived at `now`.
pub(in crate::ingress) fn request(
    message: v1::InferRequest,
    envelope: Envelope,
    limits: &Limits,
    now: Instant,
) -> Result<Request, Error> {
    let criticality = criticality(known("criticality", message.criticality)?);
    let options = message.options.unwrap_or_default();
    let merge = match known("options.merge", options.merge)? {
        v1::MergePolicy::Unspecified | v1::MergePolicy::All => MergePolicy::All,
        v1::MergePolicy::Best => MergePolicy::Best,
        v1::MergePolicy::First => MergePolicy::First,
    };
    let payload = payload(message.payload, limits)?;
    at_most("instruction", message.instruction.len(), limits.max_text_bytes, MAX_TEXT_BYTES)?;
    let mut named = HashSet::new();
    if let Some(twice) = message.experts.iter().find(|name| !named.insert(name.as_str())) {
        return Err(Error::invalid("experts", format!("must name each expert once: `{twice}`")));
    }
    if let Some(confidence) = options.min_confidence
        && !(0.0..=1.0).contains(&confidence)
    {
        return Err(Error::invalid(
            "options.min_confidence",
            format!("must be between 0 and 1: {confidence}"),
        ));
    }
    let option = options.deadline.map(positive).transpose()?;
    let deadline = envelope.deadline_within(option, limits, now)?;
    let envelope = envelope.with_fields(&message.sticky_key, criticality)?;
    let criticality = envelope.criticality();
    let (split, forwarded) = envelope.into_parts();
    Ok(Request {
        id: message.id,
        payload,
        instruction: message.instruction,
        experts: message.experts,
        max_experts: NonZeroUsize::new(options.max_experts as usize),
        min_confidence: options.min_confidence,
        top_k: NonZeroUsize::new(options.top_k as usize),
        merge,
        split,
        criticality,
        deadline,
        forwarded,
    })
}

/// A request that is nothing but a text, as the Open Inference Protocol brings it to `auto`.
pub(in crate::ingress) fn text(
    text: Bytes,
    envelope: Envelope,
    limits: &Limits,
    now: Instant,
) -> Result<Request, Error> {
    let text = String::from_utf8(text.into()).map_err(|_| Error::invalid("text", "must be UTF-8"))?;
    let message = v1::InferRequest {
        payload: Some(v1::infer_request::Payload::Text(text)),
        options: Some(v1::InferOptions { max_experts: 1, ..Default::default() }),
        ..Default::default()
    };
    request(message, envelope, limits, now)
}

/// What kind of feedback this is, and about which version, where it says; the expert is looked up in the grid.
pub(in crate::ingress) fn feedback(
    message: &v1::FeedbackRequest,
) -> Result<(FeedbackKind, Option<u32>), Error> {
    if message.id.is_empty() {
        return Err(Error::invalid("id", "must be the id or the trace id of the request"));
    }
    let kind = match known("kind", message.kind)? {
        v1::FeedbackKind::Unspecified => return Err(Error::invalid("kind", "must be given")),
        v1::FeedbackKind::Right => FeedbackKind::Right,
        v1::FeedbackKind::WrongAnswer => FeedbackKind::WrongAnswer,
        v1::FeedbackKind::WrongExpert => FeedbackKind::WrongExpert,
    };
    Ok((kind, version("version", &message.version)?))
}

/// The version of a model as the Open Inference Protocol writes it; empty = whichever.
pub(in crate::ingress) fn version(field: &str, text: &str) -> Result<Option<u32>, Error> {
    match text.parse() {
        _ if text.is_empty() => Ok(None),
        Ok(number) if number > 0 && !text.starts_with(['+', '0']) => Ok(Some(number)),
        _ => Err(Error::invalid(field, format!("must be a positive integer, or empty: `{text}`"))),
    }
}

/// `None` = the metadata decide.
fn criticality(field: v1::Criticality) -> Option<Criticality> {
    match field {
        v1::Criticality::Unspecified => None,
        v1::Criticality::Sheddable => Some(Criticality::Sheddable),
        v1::Criticality::SheddablePlus => Some(Criticality::SheddablePlus),
        v1::Criticality::Critical => Some(Criticality::Critical),
        v1::Criticality::CriticalPlus => Some(Criticality::CriticalPlus),
    }
}

fn payload(payload: Option<v1::infer_request::Payload>, limits: &Limits) -> Result<Payload, Error> {
    use v1::infer_request::Payload as Message;
    match payload {
        None => Err(Error::invalid("payload", "must be one of `text`, `image`, `audio` and `series`")),
        Some(Message::Text(text)) => {
            at_most("text", text.len(), limits.max_text_bytes, MAX_TEXT_BYTES)?;
            if text.trim().is_empty() {
                return Err(Error::invalid("text", "must hold more than white space"));
            }
            Ok(Payload::Text(text))
        }
        Some(Message::Image(image)) => media("image", image, limits).map(Payload::Image),
        Some(Message::Audio(audio)) => media("audio", audio, limits).map(Payload::Audio),
        Some(Message::Series(series)) => self::series(series, limits),
    }
}

fn media(field: &str, file: Bytes, limits: &Limits) -> Result<Bytes, Error> {
    at_most(field, file.len(), limits.max_media_bytes, MAX_MEDIA_BYTES)?;
    if file.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    Ok(file)
}

fn series(series: v1::Series, limits: &Limits) -> Result<Payload, Error> {
    let v1::Series { values, channels } = series;
    at_most("series.values", size_of_val(&*values), limits.max_media_bytes, MAX_MEDIA_BYTES)?;
    if values.is_empty() {
        return Err(Error::invalid("series.values", "must not be empty"));
    }
    let Some(channels) = NonZeroUsize::new(channels as usize) else {
        return Err(Error::invalid("series.channels", "must be at least 1: 0"));
    };
    if values.len() % channels != 0 {
        let reason = format!("must divide the number of values, which is {}: {channels}", values.len());
        return Err(Error::invalid("series.channels", reason));
    }
    Ok(Payload::Series { values, channels })
}

fn positive(duration: prost_types::Duration) -> Result<Duration, Error> {
    let prost_types::Duration { seconds, nanos } = duration;
    let wrong =
        |reason: &str| Error::invalid("options.deadline", format!("{reason}: {seconds} s and {nanos} ns"));
    // The range that `google.protobuf.Duration` documents.
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(0), Ok(0)) => Err(wrong("must be more than nothing")),
        (Ok(whole @ 0..=315_576_000_000), Ok(nanos @ 0..=999_999_999)) => Ok(Duration::new(whole, nanos)),
        (Ok(_), Ok(_)) => Err(wrong("is out of the range of a duration")),
        (Err(_), _) | (_, Err(_)) => Err(wrong("must not be negative")),
    }
}

const MAX_TEXT_BYTES: &str = "request.max-text-bytes";
const MAX_MEDIA_BYTES: &str = "request.max-media-bytes";

fn at_most(field: &str, length: usize, limit: usize, setting: &str) -> Result<(), Error> {
    if length > limit {
        let reason = format!("must be at most {limit} bytes (the router's setting `{setting}`): {length}");
        return Err(Error::invalid(field, reason));
    }
    Ok(())
}

fn known<E: TryFrom<i32>>(field: &str, number: i32) -> Result<E, Error> {
    number.try_into().map_err(|_| Error::invalid(field, format!("has a value that does not exist: {number}")))
}
