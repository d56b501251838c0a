//! See `fuzz_checks::protobuf`.

#![no_main]

libfuzzer_sys::fuzz_target!(|batch: &[u8]| fuzz_checks::protobuf(batch));
