//! See [`nanogrid_fuzz::json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanogrid_fuzz::json(bytes));
