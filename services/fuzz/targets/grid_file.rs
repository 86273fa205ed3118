//! See [`nanogrid_fuzz::grid_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanogrid_fuzz::grid_file(bytes));
