//! Messages to values and back. The way in is the only place where a message can be refused, and every refusal names the
//! field; the way out cannot fail.

mod envelope;
mod inward;
mod outward;

pub(super) use envelope::Envelope;
pub(crate) use inward::Limits;
pub(super) use inward::{feedback, request, text, version};
pub(super) use outward::{Times, expert, reply, route_reply};
