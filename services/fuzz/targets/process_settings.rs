//! See [`nanogrid_fuzz::process_settings`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanogrid_fuzz::process_settings(bytes));
