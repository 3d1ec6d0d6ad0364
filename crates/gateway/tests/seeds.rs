//! What the fuzzers of the control plane and of HTTP began with and came to, again.

// As the fuzzers call it.
extern crate openclaw_gateway as gateway;

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use gateway::http::body::Kind;

#[allow(unreachable_pub, reason = "the fuzzers are another crate")]
#[path = "../../../fuzz/checks/bodies.rs"]
mod bodies;
#[allow(unreachable_pub, reason = "the fuzzers are another crate")]
#[path = "../../../fuzz/checks/connect.rs"]
mod connect;
#[allow(unreachable_pub, reason = "the fuzzers are another crate")]
#[path = "../../../fuzz/checks/frames.rs"]
mod frames;

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds");

/// Every input of a target: the files of its folder, and those of the archive beside it.
fn replay(name: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(SEEDS).join(name);
    let mut count = 0;
    for file in fs::read_dir(&folder).expect("seeds") {
        check(&fs::read(file.expect("a file").path()).expect("readable"));
        count += 1;
    }
    let archive = fs::File::open(folder.with_extension("tar.gz")).expect("what a long run came to");
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("whole");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("whole");
        check(&bytes);
        count += 1;
    }
    assert!(count > 100, "{name}: only {count} inputs");
}

#[test]
fn the_frames() {
    replay("frames", frames::check);
}

#[test]
fn the_parameters_of_connect() {
    replay("connect", connect::check);
}

#[test]
fn the_bodies_of_chat_completions() {
    replay("chat", |it| bodies::check(Kind::ChatCompletions, it));
}

#[test]
fn the_bodies_of_responses() {
    replay("responses", |it| bodies::check(Kind::Responses, it));
}

#[test]
fn the_bodies_of_tools_invoke() {
    replay("invoke", |it| bodies::check(Kind::Invoke, it));
}

#[test]
fn the_bodies_of_hooks() {
    replay("hooks", |it| {
        for kind in [Kind::Wake, Kind::Agent, Kind::Mapped] {
            bodies::check(kind, it);
        }
    });
}
