#![no_main]

#[path = "../../shared/tests/properties/passwords.rs"]
mod passwords;

libfuzzer_sys::fuzz_target!(|input: &[u8]| passwords::check(input));
