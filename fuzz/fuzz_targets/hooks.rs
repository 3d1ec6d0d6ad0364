//! See `checks/bodies.rs`. Every body is sent to each kind of hook.

#![no_main]

use gateway::http::body::Kind;
use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::checks::bodies;

fuzz_target!(|data: &[u8]| {
    for kind in [Kind::Wake, Kind::Agent, Kind::Mapped] {
        bodies::check(kind, data);
    }
});
