//! See `smtphound::fuzzing::segments`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smtphound::fuzzing::segments(data));
