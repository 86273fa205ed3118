//! Several routers that try versions together, on a real Kubernetes API: the server of `k8s/apiserver`, one for all tests here.

// A helper that unwraps fails the test that called it; clippy knows only the test functions themselves.
#![allow(clippy::unwrap_used)]

mod api_server;
mod conflicts;
mod leaders;
mod link;
mod outages;
mod permissions;
mod routers;
#[path = "../grid/support.rs"]
#[allow(dead_code, reason = "of another test, which needs all of it")]
mod support;
mod together;
