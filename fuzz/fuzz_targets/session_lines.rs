//! See `smtphound::fuzzing::session_lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smtphound::fuzzing::session_lines(data));
