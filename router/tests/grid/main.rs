//! The router over real loopback connections, between real clients and scripted experts.

// A helper that unwraps fails the test that called it; clippy knows only the test functions themselves.
#![allow(clippy::unwrap_used)]

mod admission;
mod bad_input;
mod breakers;
mod cache;
mod classified;
mod drain;
mod endpoints;
mod fallback;
mod fan_out;
mod faults;
mod hedging;
mod operators;
mod passthrough;
mod reload;
mod retries;
mod rollouts;
mod sample;
mod streams;
mod support;
mod traces;
