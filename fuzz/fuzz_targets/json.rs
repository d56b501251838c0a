//! See `fuzz_checks::json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|batch: &[u8]| fuzz_checks::json(batch));
