//! See `fuzz_checks::csv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|batch: &[u8]| fuzz_checks::csv(batch));
