//! See `fuzz_checks::avro`.

#![no_main]

libfuzzer_sys::fuzz_target!(|batch: &[u8]| fuzz_checks::avro(batch));
