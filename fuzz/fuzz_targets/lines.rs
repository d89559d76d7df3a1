//! See `smtphound::fuzzing::lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smtphound::fuzzing::lines(data));
