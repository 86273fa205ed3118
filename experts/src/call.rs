//! What the metadata of a call says about it: until when it makes sense, and how much it matters.

use nanogrid_resilience::Criticality;
use nanogrid_serving::deadline::Deadline;
use tokio::time::Instant;
use tonic::{Request, metadata::MetadataMap};

/// One call; every message of a stream is as urgent and as important as its stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call {
    pub(crate) deadline: Option<Instant>,
    pub(crate) criticality: Criticality,
}

impl Call {
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        Self {
            deadline: Deadline::from_extensions(request.extensions()).map(|Deadline(at)| at),
            criticality: criticality(request.metadata()),
        }
    }
}

/// What is not written, or not understood, is ordinary: headers pass through gateways and clients that know nothing of us,
/// and a request that can be answered must not fail over one.
fn criticality(metadata: &MetadataMap) -> Criticality {
    let Some(written) = metadata.get("x-nanogrid-criticality") else { return Criticality::default() };
    written.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        tracing::debug!(value = ?written, "unknown x-nanogrid-criticality, taken as CRITICAL");
        Criticality::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: Option<&'static str>, expected: Criticality) {
        let mut request = Request::new(());
        if let Some(written) = written {
            request.metadata_mut().insert("x-nanogrid-criticality", written.parse().unwrap());
        }
        assert_eq!(Call::of(&request).criticality, expected);
    }

    #[test]
    fn criticality_is_read_in_any_case_and_what_is_unknown_is_ordinary() {
        check(None, Criticality::Critical);
        check(Some("SHEDDABLE"), Criticality::Sheddable);
        check(Some("sheddable-plus"), Criticality::SheddablePlus);
        check(Some("Critical_Plus"), Criticality::CriticalPlus);
        check(Some("urgent"), Criticality::Critical);
        check(Some(""), Criticality::Critical);
    }
}
