//! The router over real loopback connections, between real clients and scripted experts.

mod bad_input;
mod classified;
mod endpoints;
mod fan_out;
mod operators;
mod passthrough;
mod reload;
mod streams;
mod support;
mod traces;
