//! The real service over a real connection on the loopback interface.

#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod about;
mod answers;
mod broken_packages;
mod drain;
mod exchange;
mod generated;
mod golden;
mod host;
mod images;
mod overload;
mod process;
mod refusals;
mod spans;
mod streams;
mod traces;
