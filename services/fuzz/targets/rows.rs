//! See [`nanogrid_fuzz::rows`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanogrid_fuzz::rows(bytes));
