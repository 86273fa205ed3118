use proptest::prelude::*;

use super::*;

fn message(length: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
    bytes.resize(HEAD + length, 7);
    bytes
}

#[test]
fn every_method_that_takes_requests_goes_through_the_door() {
    let methods = ["nanogrid.v1.Grid", "inference.GRPCInferenceService"].map(nanogrid_serving::methods);
    let behind: Vec<_> =
        methods.iter().flatten().filter(|method| Kind::of(&format!("/{method}")).is_some()).collect();
    assert_eq!(
        behind,
        [
            "nanogrid.v1.Grid/Infer",
            "nanogrid.v1.Grid/InferStream",
            "nanogrid.v1.Grid/Route",
            "inference.GRPCInferenceService/ModelInfer",
            "inference.GRPCInferenceService/ModelStreamInfer",
        ]
    );
}

#[test]
fn a_message_is_begun_until_its_last_byte_has_arrived() {
    let mut begun = Begun::default();
    let bytes = message(10);
    for (n_arrived, byte) in bytes.iter().enumerate() {
        assert_eq!(begun.n_bytes, n_arrived);
        begun.and_then(&[*byte]);
    }
    assert_eq!(begun.n_bytes, 0);
}

proptest! {
    #[test]
    fn however_messages_are_cut_into_frames_only_the_one_begun_counts(
        lengths in proptest::collection::vec(0_usize..300, 1..8),
        frame in 1_usize..200,
        end in 0_usize..2_000,
    ) {
        let messages: Vec<Vec<u8>> = lengths.into_iter().map(message).collect();
        let bytes = messages.concat();
        let end = end.min(bytes.len());
        let mut begun = Begun::default();
        for data in bytes[..end].chunks(frame) {
            begun.and_then(data);
        }
        let whole = messages.iter().scan(0, |sum, message| { *sum += message.len(); Some(*sum) });
        let whole = whole.take_while(|sum| *sum <= end).last().unwrap_or(0);
        prop_assert_eq!(begun.n_bytes, end - whole);
    }

    #[test]
    fn no_bytes_of_anybody_are_too_strange_to_count(data in proptest::collection::vec(any::<u8>(), 0..500)) {
        Begun::default().and_then(&data);
    }
}
