//! The state of each endpoint, as one series per state of which one is 1, and how often its breaker opened.
//!
//! Endpoints come and go with the grid file, and their series with them. A reload makes the new handle before it
//! drops the old one, so handles are counted: the series go with the last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{EndpointLabels, EndpointState};
use crate::metrics::Registry;
use crate::metrics::label::label;
use crate::names::metric;

label! {
    /// Why a breaker opened.
    EjectionReason {
        /// So many failures in a row.
        ConsecutiveFailures => "consecutive_failures",
        /// Too few successes in the window.
        SuccessRate => "success_rate",
        /// The probe after a rest failed.
        Probe => "probe",
    }
}

#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    family: Family<EndpointLabels, Gauge>,
    ejections: Family<EjectionLabels, Counter>,
    // By the labels of the first state.
    handles: Arc<Mutex<HashMap<EndpointLabels, usize>>>,
}

/// The state of one endpoint, for as long as the endpoint exists: when the last handle is dropped, its series go.
#[derive(Debug)]
#[must_use = "the endpoint's series are removed when this is dropped"]
pub struct EndpointGauge {
    endpoints: Endpoints,
    labels: Vec<EndpointLabels>,
    ejections: Vec<EjectionLabels>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EjectionLabels {
    expert: String,
    version: String,
    endpoint: String,
    reason: EjectionReason,
    // As a word: `bool` is no label value.
    enforced: &'static str,
}

impl Endpoints {
    pub(super) fn new(registry: &Registry) -> Self {
        let help = "1 for the state the endpoint is in";
        let family = registry.register(metric::ENDPOINT_STATE, help, Family::default());
        let help = "How often the endpoint's breaker opened; not enforced = too few others were left";
        let ejections = registry.register(metric::EJECTIONS, help, Family::default());
        Self { family, ejections, handles: Arc::default() }
    }

    pub(super) fn gauge(&self, expert: &str, version: &str, endpoint: &str) -> EndpointGauge {
        let labels = super::each(EndpointState::ALL, |state| EndpointLabels {
            expert: expert.to_owned(),
            version: version.to_owned(),
            endpoint: endpoint.to_owned(),
            state,
        });
        *self.handles().entry(labels[0].clone()).or_default() += 1;
        let ejections = EjectionReason::ALL.iter().flat_map(|reason| {
            [true, false].map(|enforced| EjectionLabels {
                expert: expert.to_owned(),
                version: version.to_owned(),
                endpoint: endpoint.to_owned(),
                reason: *reason,
                enforced: word(enforced),
            })
        });
        let gauge = EndpointGauge { endpoints: self.clone(), labels, ejections: ejections.collect() };
        gauge.set(EndpointState::Connecting);
        for labels in &gauge.ejections {
            self.ejections.get_or_create_owned(labels);
        }
        gauge
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<EndpointLabels, usize>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndpointGauge {
    /// The endpoint is in this state now, and in no other.
    pub fn set(&self, state: EndpointState) {
        for labels in &self.labels {
            self.endpoints.family.get_or_create_owned(labels).set(i64::from(labels.state == state));
        }
    }

    /// Its breaker opened. `enforced`: it is not asked any more, since enough others are left.
    pub fn ejected(&self, reason: EjectionReason, enforced: bool) {
        let is_it = |labels: &&EjectionLabels| labels.reason == reason && labels.enforced == word(enforced);
        if let Some(labels) = self.ejections.iter().find(is_it) {
            self.endpoints.ejections.get_or_create_owned(labels).inc();
        }
    }
}

fn word(enforced: bool) -> &'static str {
    if enforced { "true" } else { "false" }
}

impl Drop for EndpointGauge {
    fn drop(&mut self) {
        let mut handles = self.endpoints.handles();
        let left = handles.get(&self.labels[0]).map_or(0, |count| count - 1);
        if left > 0 {
            handles.insert(self.labels[0].clone(), left);
            return;
        }
        handles.remove(&self.labels[0]);
        for labels in &self.labels {
            self.endpoints.family.remove(labels);
        }
        for labels in &self.ejections {
            self.endpoints.ejections.remove(labels);
        }
    }
}
