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

fn mapped(
    name: &str,
    message: &impl prost::Message,
    options: SerializeOptions,
) -> Result<Value, serde_json::Error> {
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

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::v1::{GetInfoResponse, PackageInfo};

    const INFO: &str = "nanogrid.v1.GetInfoResponse";

    fn info(seconds: i64) -> GetInfoResponse {
        GetInfoResponse {
            pid: 7,
            memory: 1 << 30,
            started: Some(Timestamp { seconds, nanos: 0 }),
            packages: vec![PackageInfo {
                name: "intent".into(),
                model_sha256: "ab".into(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn fields_at_their_default_are_there() {
        let json = to_json(INFO, &info(0)).expect("in range");
        assert_eq!(json["version"], "");
        assert_eq!(json["startUpUs"], "0");
        assert_eq!(json["packages"][0]["ready"], false);
        assert_eq!(json["packages"][0]["modelSha256"], "ab");
    }

    #[test]
    fn imported_types_have_their_own_form() {
        assert_eq!(to_json(INFO, &info(0)).expect("in range")["started"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn large_numbers_are_text_or_numbers() {
        assert_eq!(to_json(INFO, &info(0)).expect("in range")["memory"], "1073741824");
        assert_eq!(to_json_with_numbers(INFO, &info(0)).expect("in range")["memory"], json!(1 << 30));
    }

    #[test]
    fn what_the_mapping_cannot_say_is_an_error() {
        assert!(to_json(INFO, &info(i64::MAX)).is_err());
    }

    #[test]
    fn json_is_read_again() {
        let written = to_json(INFO, &info(5)).expect("in range").to_string();
        assert_eq!(from_json::<GetInfoResponse>(INFO, &written).expect("written here"), info(5));
        let error = from_json::<GetInfoResponse>(INFO, "{\n\"colour\": 1}").expect_err("unknown field");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
