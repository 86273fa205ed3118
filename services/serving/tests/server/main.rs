//! A whole server and real clients.
#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, and not what they share")]

mod addresses;
mod calls;
mod drain;
mod raw;
mod support;
