//! See `fuzz_checks::catalog`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz_checks::catalog(text));
