//! See [`nanogrid_fuzz::images`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanogrid_fuzz::images(bytes));
