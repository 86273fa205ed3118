//! What ends a rollout at once.

use nanogrid_resilience::BreakerState;
use nanogrid_rollout::Gate;
use nanogrid_telemetry::metrics::EndpointState;

use crate::catalog::Version;

/// An endpoint that went away as often since the rollout began crashes; a rolling restart takes each away once.
const CRASHES: u64 = 3;

/// Every gate that `canary` breaks. `invalid` and `lost`: answers that were none, and connections lost by all its endpoints.
pub(super) fn broken(canary: &Version, invalid: u64, lost: u64) -> Vec<Gate> {
    let endpoints = || canary.endpoints.iter();
    let mut gates = Vec::new();
    let refused = endpoints().find(|endpoint| endpoint.kind() == EndpointState::Refused);
    if let Some(endpoint) = refused {
        gates.push(Gate::Mismatch(format!("{}: {}", endpoint.identity.address, endpoint.reason())));
    }
    let are_all_out = endpoints().len() > 0
        && endpoints().all(|endpoint| endpoint.history.breaker.state() != BreakerState::Closed);
    if are_all_out || canary.pool.gate.state() != BreakerState::Closed {
        gates.push(Gate::BreakerOpen(canary.why_not_ready()));
    }
    if lost >= CRASHES * canary.endpoints.len() as u64 {
        gates.push(Gate::CrashLoop(format!("connections were lost {lost} times")));
    }
    if invalid > 0 {
        gates.push(Gate::InvalidAnswer(format!("{invalid} of them")));
    }
    gates
}
