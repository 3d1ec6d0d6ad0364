//! See `checks/bodies.rs`.

#![no_main]

use gateway::http::body::Kind;
use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::checks::bodies;

fuzz_target!(|data: &[u8]| bodies::check(Kind::Invoke, data));
