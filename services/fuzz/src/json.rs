use nanogrid_proto::{
    inference::{ModelInferRequest, ModelInferResponse},
    json::{from_json, to_json, to_json_with_numbers},
    v1::{InferRequest, InferResponse},
};
use prost::Message;

/// Messages in the protobuf JSON mapping, as the command line reads and prints them, and any message as JSON.
///
/// # Panics
/// When what was written is not read again as it was.
pub fn json(bytes: &[u8]) {
    both_ways::<InferRequest>("nanogrid.v1.InferRequest", bytes);
    both_ways::<InferResponse>("nanogrid.v1.InferResponse", bytes);
    both_ways::<ModelInferRequest>("inference.ModelInferRequest", bytes);
    both_ways::<ModelInferResponse>("inference.ModelInferResponse", bytes);
}

fn both_ways<M: Message + Default>(name: &str, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(message) = from_json::<M>(name, text)
    {
        again(name, &message);
    }
    if let Ok(message) = M::decode(bytes) {
        again(name, &message);
    }
}

fn again<M: Message + Default>(name: &str, message: &M) {
    // A time out of its range cannot be said in JSON.
    let Ok(written) = to_json(name, message) else { return };
    let _ = to_json_with_numbers(name, message);
    let read: M = from_json(name, &written.to_string()).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(to_json(name, &read).ok(), Some(written));
}
