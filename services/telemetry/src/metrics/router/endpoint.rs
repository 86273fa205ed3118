//! The state of each endpoint, as one series per state of which one is 1.
//!
//! Endpoints come and go with the grid file, and their series with them. A reload makes the new handle before it
//! drops the old one, so handles are counted: the series go with the last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{EndpointLabels, EndpointState};
use crate::metrics::Registry;
use crate::names::metric;

#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    family: Family<EndpointLabels, Gauge>,
    // By the labels of the first state.
    handles: Arc<Mutex<HashMap<EndpointLabels, usize>>>,
}

/// The state of one endpoint, for as long as the endpoint exists: when the last handle is dropped, its series go.
#[derive(Debug)]
#[must_use = "the endpoint's series are removed when this is dropped"]
pub struct EndpointGauge {
    endpoints: Endpoints,
    labels: Vec<EndpointLabels>,
}

impl Endpoints {
    pub(super) fn new(registry: &Registry) -> Self {
        let help = "1 for the state the endpoint is in";
        let family = registry.register(metric::ENDPOINT_STATE, help, Family::default());
        Self { family, handles: Arc::default() }
    }

    pub(super) fn gauge(&self, expert: &str, version: &str, endpoint: &str) -> EndpointGauge {
        let labels = super::each(EndpointState::ALL, |state| EndpointLabels {
            expert: expert.to_owned(),
            version: version.to_owned(),
            endpoint: endpoint.to_owned(),
            state,
        });
        *self.handles().entry(labels[0].clone()).or_default() += 1;
        let gauge = EndpointGauge { endpoints: self.clone(), labels };
        gauge.set(EndpointState::Connecting);
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
    }
}
