//! Feeds any bytes to what reads an order, the Estate's spec and accepted risks.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sv0_fuzz::policy(input));
