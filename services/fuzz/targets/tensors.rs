//! See [`nanogrid_fuzz::tensors`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanogrid_fuzz::tensors(bytes));
