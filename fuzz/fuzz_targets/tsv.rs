//! See `fuzz_checks::tsv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|batch: &[u8]| fuzz_checks::tsv(batch));
