//! Calls by method and status, as the OpenTelemetry RPC conventions name them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Latency, LatencyFamily, Registry, latencies};
use crate::names::{STATUS_CODES, metric, status_code, status_index};
use crate::propagation::TraceId;

/// The calls of one side. Register each side once per registry.
#[derive(Clone, Debug)]
pub struct RpcMetrics {
    methods: Arc<HashMap<String, MethodMetrics>>,
    other: MethodMetrics,
}

/// The calls of one method; cheap to clone and to hold.
#[derive(Clone, Debug)]
pub struct MethodMetrics {
    method: Arc<Method>,
}

#[derive(Debug)]
struct Method {
    name: String,
    family: LatencyFamily<CallLabels>,
    // Most methods only ever see two or three codes, and a histogram has forty buckets: each is made when needed.
    by_code: [OnceLock<Latency>; STATUS_CODES.len()],
    in_flight: Gauge,
}

/// Handlers that panicked. Each is a bug, and a client that got `INTERNAL`.
#[derive(Clone, Debug)]
pub struct Panics(Counter);

impl Panics {
    /// Register once per registry.
    pub fn new(registry: &Registry) -> Self {
        Self(registry.register(metric::PANICS, "Handlers that panicked", Counter::default()))
    }

    /// One more.
    pub fn count(&self) {
        self.0.inc();
    }
}

/// Counts one call as in flight until dropped.
#[derive(Debug)]
#[must_use = "the call is in flight for as long as this is held"]
pub struct CallInFlight {
    in_flight: Gauge,
}

impl RpcMetrics {
    /// Calls that this process answers. `methods` (`package.Service/Method`) are the only values of the label
    /// `rpc_method`; every other method a client may think of is `_OTHER`.
    pub fn server(registry: &Registry, methods: impl IntoIterator<Item = String>) -> Self {
        let durations = registry.register_seconds(
            metric::RPC_SERVER_CALL_DURATION,
            "Time from the request's headers to the end of the answer",
            latencies(),
        );
        let in_flight =
            registry.register(metric::RPC_SERVER_IN_FLIGHT, "Calls being answered now", Family::default());
        Self::new(methods, durations, in_flight)
    }

    /// Calls that this process makes; `methods` as for `server`.
    pub fn client(registry: &Registry, methods: impl IntoIterator<Item = String>) -> Self {
        let durations = registry.register_seconds(
            metric::RPC_CLIENT_CALL_DURATION,
            "Time from sending the request to the end of the answer",
            latencies(),
        );
        let in_flight = registry.register(
            metric::RPC_CLIENT_IN_FLIGHT,
            "Calls waiting for an answer now",
            Family::default(),
        );
        Self::new(methods, durations, in_flight)
    }

    fn new(
        methods: impl IntoIterator<Item = String>,
        durations: LatencyFamily<CallLabels>,
        in_flight: Family<MethodLabels, Gauge>,
    ) -> Self {
        let method = |name: String| MethodMetrics {
            method: Arc::new(Method {
                in_flight: in_flight.get_or_create_owned(&MethodLabels { rpc_method: name.clone() }),
                name,
                family: durations.clone(),
                by_code: Default::default(),
            }),
        };
        let other = method("_OTHER".to_owned());
        let methods = methods.into_iter().map(|name| (name.clone(), method(name))).collect();
        Self { methods: Arc::new(methods), other }
    }

    /// The handle of a method, given as on the wire but without the leading `/`.
    pub fn method(&self, method: &str) -> &MethodMetrics {
        self.methods.get(method).unwrap_or(&self.other)
    }
}

impl MethodMetrics {
    /// The method's name as it stands in the metrics.
    pub fn name(&self) -> &str {
        &self.method.name
    }

    /// A call begins.
    pub fn started(&self) -> CallInFlight {
        self.method.in_flight.inc();
        CallInFlight { in_flight: self.method.in_flight.clone() }
    }

    /// A call has ended with this gRPC status code.
    pub fn record(&self, code: i32, elapsed: Duration, trace_id: Option<TraceId>) {
        self.method.by_code[status_index(code)]
            .get_or_init(|| {
                let labels =
                    CallLabels { rpc_method: self.method.name.clone(), rpc_status_code: status_code(code) };
                self.method.family.get_or_create_owned(&labels).into()
            })
            .observe(elapsed, trace_id);
    }
}

impl Drop for CallInFlight {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    rpc_method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    rpc_method: String,
    rpc_status_code: &'static str,
}
