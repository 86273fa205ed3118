//! The production router and scripted experts in a simulated network, on simulated time: partitions, crashes, silence, slow
//! and failing endpoints, for minutes that take seconds.
//!
//! Everything is as in production but for the machines' own network and clock (turmoil) and the models (scripts). Whatever
//! a test does to the grid, every request of it is checked against what every client may rely on: see `checker`.
//!
//! The seed of the simulated network, of the faults and of the load is printed; `MESH_SEED=N` runs the tests with another.
//! The router's own draws are not seeded, so that bounds are wide enough for any of them.

// A helper that unwraps fails the test that called it; clippy knows only the test functions themselves.
#![allow(clippy::unwrap_used)]

mod balance;
mod checker;
mod crashes;
mod deadlines;
mod drains;
mod expert;
mod failing;
mod load;
mod mesh;
mod network;
mod panics;
mod schedule;
mod silence;
