//! The protobuf JSON mapping of any message of this crate, by reflection over [`crate::DESCRIPTORS`].

/// `message` in the protobuf JSON mapping, fields at their default included: scripts then need not guess.
///
/// `name` is the full name of the message, e.g. `nanogrid.v1.InferResponse`.
pub fn to_json(name: &str, message: &impl prost::Message) -> serde_json::Value {
    let _ = (name, message);
    unimplemented!()
}
