#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peerage_peering::fuzzing::server(data));
