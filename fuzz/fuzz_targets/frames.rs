//! See `checks/frames.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::checks::frames;

fuzz_target!(|data: &[u8]| frames::check(data));
