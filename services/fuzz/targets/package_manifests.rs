//! See [`nanogrid_fuzz::package_manifests`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanogrid_fuzz::package_manifests(bytes));
