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
    let (code, verdict) = match (health.ready(), health.draining()) {
        (true, _) => (StatusCode::OK, "ok\n"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    let silent = health.not_serving().into_iter().map(|name| format!("not serving: {name}\n"));
    (code, std::iter::once(verdict.to_owned()).chain(silent).collect())
}
