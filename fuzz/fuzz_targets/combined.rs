//! See `fuzz_checks::combined`.

#![no_main]

libfuzzer_sys::fuzz_target!(|batch: &[u8]| fuzz_checks::combined(batch));
