//! The protobuf JSON mapping of any message of this crate, by reflection over [`crate::DESCRIPTORS`].

use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

/// `message` in the protobuf JSON mapping, fields at their default included: scripts then need not guess.
///
/// `name` is the full name of the message, e.g. `nanogrid.v1.InferResponse`. Fails for what the mapping cannot say,
/// such as a timestamp after the year 9999.
///
/// # Panics
/// When `message` is not a message of that name: a mistake in the code of the caller, not in any data.
pub fn to_json(name: &str, message: &impl prost::Message) -> Result<Value, serde_json::Error> {
    mapped(name, message, SerializeOptions::new().skip_default_fields(false))
}

/// Like [`to_json`], but 64-bit integers are numbers, where the mapping has them as text: for values such as memory sizes,
/// which stay below 2^53 and which people compare in scripts.
///
/// # Panics
/// As [`to_json`].
pub fn to_json_with_numbers(name: &str, message: &impl prost::Message) -> Result<Value, serde_json::Error> {
    let options = SerializeOptions::new().skip_default_fields(false).stringify_64_bit_integers(false);
    mapped(name, message, options)
}

/// Reads a message from the protobuf JSON mapping. The error names line and column.
///
/// # Panics
/// When `M` is not the message `name`.
pub fn from_json<M: prost::Message + Default>(name: &str, json: &str) -> Result<M, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor(name), &mut deserializer)?;
    deserializer.end()?;
    Ok(message.transcode_to().expect("`M` is the message `name`"))
}

fn mapped(name: &str, message: &impl prost::Message, options: SerializeOptions) -> Result<Value, serde_json::Error> {
    let mut dynamic = DynamicMessage::new(descriptor(name));
    dynamic.transcode_from(message).expect("`message` is a message of that name");
    dynamic.serialize_with_options(serde_json::value::Serializer, &options)
}

fn descriptor(name: &str) -> MessageDescriptor {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(crate::DESCRIPTORS).expect("generated beside this file"))
        .get_message_by_name(name)
        .expect("the name of a message of this crate")
}
