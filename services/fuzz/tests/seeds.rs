//! Every seed, and everything that once broke a target, goes through its target in every test run.

use std::{fs, path::Path};

#[track_caller]
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let seeds = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut n_seeds = 0;
    for seed in seeds {
        let path = seed.expect("readable").path();
        // The last line before a panic says which one it was.
        println!("{}", path.display());
        body(&fs::read(&path).expect("readable"));
        n_seeds += 1;
    }
    assert!(n_seeds > 0, "no seeds in {}", folder.display());
}

#[test]
fn tensors() {
    replay("tensors", nanogrid_fuzz::tensors);
}

#[test]
fn grpc_timeout() {
    replay("grpc_timeout", nanogrid_fuzz::grpc_timeout);
}

#[test]
fn process_settings() {
    replay("process_settings", nanogrid_fuzz::process_settings);
}

#[test]
fn grid_file() {
    replay("grid_file", nanogrid_fuzz::grid_file);
}

#[test]
fn package_manifests() {
    replay("package_manifests", nanogrid_fuzz::package_manifests);
}

#[test]
fn json() {
    replay("json", nanogrid_fuzz::json);
}

#[test]
fn images() {
    replay("images", nanogrid_fuzz::images);
}

#[test]
fn rows() {
    replay("rows", nanogrid_fuzz::rows);
}
