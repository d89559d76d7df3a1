//! See `smtphound::fuzzing::dsn`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smtphound::fuzzing::dsn(data));
