//! See `smtphound::fuzzing::dialogue`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smtphound::fuzzing::dialogue(data));
