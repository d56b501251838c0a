//! See `fuzz_checks::debezium`.

#![no_main]

libfuzzer_sys::fuzz_target!(|batch: &[u8]| fuzz_checks::debezium(batch));
