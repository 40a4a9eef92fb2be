#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| durable_fuzz::run(durable::fuzz::result, bytes));
