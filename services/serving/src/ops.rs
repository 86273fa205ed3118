//! The port for machines that look after this one: metrics, liveness, readiness.

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use nanogrid_telemetry::metrics::Registry;

use crate::Health;

pub(crate) fn router(registry: Registry, health: Health) -> Router {
    Router::new()
        .route("/metrics", get(metrics).with_state(registry))
        // That it answers is the answer: liveness must not depend on models or on other machines.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readiness).with_state(health))
}

async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, Registry::CONTENT_TYPE)], registry.encode())
}

async fn readiness(State(health): State<Health>) -> (StatusCode, String) {
    let waiting = health.not_ready();
    if waiting.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines = waiting.iter().map(|name| format!("not ready: {name}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}
