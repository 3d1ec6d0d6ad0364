//! See `checks/connect.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::checks::connect;

fuzz_target!(|data: &[u8]| connect::check(data));
