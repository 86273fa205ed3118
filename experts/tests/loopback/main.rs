//! The real service over a real connection on the loopback interface.

mod about;
mod answers;
mod broken_packages;
mod host;
mod process;
mod refusals;
mod streams;
