//! Regenerates `src/gen` from the `.proto` files, without `protoc`, and fails when what is checked in differs.
//! The new code is then in place: look at it and commit it.

use std::{fs, path::Path};

const FILES: [&str; 4] = [
    "nanogrid/v1/grid.proto",
    "nanogrid/v1/control.proto",
    "nanogrid/v1/expert.proto",
    "inference/grpc_service.proto",
];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked_in = root.join("src/gen");
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gen");
    fs::create_dir_all(&fresh).expect("a folder under target");

    let descriptors = protox::compile(FILES, [root]).expect("the .proto files are valid");
    let encoded = prost::Message::encode_to_vec(&descriptors);
    fs::write(fresh.join("descriptors.bin"), encoded).expect("writable");
    tonic_prost_build::configure()
        .bytes(".")
        .out_dir(&fresh)
        .compile_fds(descriptors)
        .expect("code can be generated");

    let mut stale = Vec::new();
    for name in ["descriptors.bin", "nanogrid.v1.rs", "inference.rs"] {
        let new = fs::read(fresh.join(name)).expect("generated");
        let path = checked_in.join(name);
        if fs::read(&path).ok().as_ref() != Some(&new) {
            fs::create_dir_all(&checked_in).expect("writable");
            fs::write(&path, new).expect("writable");
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "regenerated, now commit proto/src/gen: {}", stale.join(", "));
}
