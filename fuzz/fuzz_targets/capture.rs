//! See `smtphound::fuzzing::capture`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smtphound::fuzzing::capture(data));
