//! Feeds any bytes to the reader of a pack.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sv0_fuzz::pack(input));
