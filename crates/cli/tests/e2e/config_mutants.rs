//! Configs that were spoilt in every way that files are spoilt: the gateway answers, says what it makes of them, and
//! writes none of them.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use testkit::{Gateway, Output, Sandbox};

use crate::random::Random;
use crate::scene::until;
use crate::support::{offline, set_up};

/// Changes of the file below a gateway that runs.
const CHANGES: usize = 150;
/// Starts with a file that was changed.
const STARTS: usize = 25;

/// One way in which a file is spoilt.
type Way = fn(&mut Random, Vec<u8>) -> Vec<u8>;

const WAYS: [Way; 12] = [
    |random, text| text[..random.below(text.len())].to_vec(),
    |random, mut text| {
        for _ in 0..=random.below(4) {
            let at = random.below(text.len());
            text[at] = u8::try_from(random.below(256)).expect("a byte");
        }
        text
    },
    |random, text| without(random, text, b"{}[]"),
    |random, text| without(random, text, b",:"),
    |random, text| without(random, text, b"\"'"),
    |random, text| lines(random, &text, |lines, a, b| lines.swap(a, b)),
    |random, text| lines(random, &text, |lines, a, b| lines.insert(a, lines[b])),
    |random, text| {
        lines(random, &text, |lines, a, _| {
            lines.remove(a);
        })
    },
    |random, text| value(random, &text),
    |random, text| {
        let mut text = text;
        let at = random.below(text.len());
        text.splice(
            at..at,
            random
                .pick(&[&b"\0"[..], b"\xff\xfe", b"\xef\xbb\xbf", b"/*", b"${", b"$include: 'x', "])
                .iter()
                .copied(),
        );
        text
    },
    |random, _| {
        let (open, close) = random.pick(&[("[", "]"), ("{a:", "}")]);
        let deep = random.pick(&[500, 5000]);
        format!("{{gateway:{}1{}}}", open.repeat(deep), close.repeat(deep)).into_bytes()
    },
    |random, mut text| {
        let many = random.pick(&[0, 1, 2 * 1024 * 1024]);
        text.extend(std::iter::repeat_n(b' ', many));
        if many == 0 { Vec::new() } else { text }
    },
];

fn without(random: &mut Random, mut text: Vec<u8>, of: &[u8]) -> Vec<u8> {
    let places: Vec<usize> =
        text.iter().enumerate().filter(|(_, it)| of.contains(it)).map(|(at, _)| at).collect();
    if !places.is_empty() {
        text.remove(random.pick(&places));
    }
    text
}

fn lines(random: &mut Random, text: &[u8], change: fn(&mut Vec<&[u8]>, usize, usize)) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split(|it| *it == b'\n').collect();
    let (a, b) = (random.below(lines.len()), random.below(lines.len()));
    change(&mut lines, a, b);
    lines.join(random.pick(&[&b"\n"[..], b"\r\n"]))
}

/// Another value in the place of one, or another key in the place of one.
fn value(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text).into_owned();
    let colons: Vec<usize> = text.match_indices(": ").map(|(at, _)| at).collect();
    let Some(at) = (!colons.is_empty()).then(|| random.pick(&colons)) else { return text.into_bytes() };
    let new = random.pick(&[
        "null",
        "-1",
        "1e999",
        "'x'",
        "[]",
        "{}",
        "true",
        "[[1]]",
        "{a: {b: 'c'}}",
        "\"\\u0000\"",
    ]);
    let end = text[at + 2..].find(['\n', ',', '}']).map_or(text.len(), |it| at + 2 + it);
    match random.below(4) {
        0 => format!("{}x{}", &text[..at], &text[at..]).into_bytes(),
        _ => format!("{}: {new}{}", &text[..at], &text[end..]).into_bytes(),
    }
}

/// Real files: what `setup` writes, and examples without anything that has to be asked for elsewhere.
fn originals(config: &Path) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/tests/configs");
    let examples = fs::read_dir(folder).expect("examples").flatten().map(|it| it.path());
    let mut files: Vec<PathBuf> =
        examples.filter(|it| it.extension().is_some_and(|it| it == "json5")).collect();
    files.sort();
    let texts = files.iter().map(|it| fs::read_to_string(it).expect("text"));
    let alone = texts.filter(|it| !it.contains("$include") && !it.contains("source:"));
    let own = fs::read(config).expect("made by set-up");
    // As often as all others together: it is the one that every instance begins with.
    let own = std::iter::repeat_n(own, files.len() / 2);
    alone.map(String::into_bytes).chain(own).collect()
}

fn mutant(random: &mut Random, originals: &[Vec<u8>]) -> Vec<u8> {
    let at = random.below(originals.len());
    let mut text = originals[at].clone();
    for _ in 0..=random.below(3) {
        if !text.is_empty() {
            text = random.pick(&WAYS)(random, text);
        }
    }
    text
}

/// What the gateway says of itself over its control socket; absent in the moment of a restart.
fn status(sandbox: &Sandbox) -> Option<Value> {
    let asked = Output::of(sandbox.command(&["--profile", "a", "gateway", "call", "status", "--json"]));
    serde_json::from_str(&asked.stdout).ok().filter(|it: &Value| it["config"].is_object())
}

/// In force, or refused with words.
#[track_caller]
fn check_said(status: &Value, what: &str) {
    let refused = status["config"]["refused"].as_array().expect("a list");
    assert_eq!(status["config"]["inForce"] == true, refused.is_empty(), "{what}: {status}");
    for words in refused.iter().map(|it| it.as_str().expect("words")) {
        let is_clear =
            words.contains("line ") || words.contains("it has ") || words.contains("it cannot be read");
        assert!(is_clear || words.contains("is held by") || words.contains("overlaps"), "{what}: {words:?}");
    }
}

#[track_caller]
fn stamp(path: &Path) -> (u64, i64, i64, Vec<u8>) {
    let about = fs::metadata(path).expect("it is there");
    (about.ino(), about.mtime(), about.mtime_nsec(), fs::read(path).expect("it is ours"))
}

#[test]
fn a_gateway_that_runs_answers_whatever_becomes_of_its_config() {
    let (mut random, seed) = Random::seeded();
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let config = sandbox.state(Some("a")).join("openclaw.json");
    let text = fs::read_to_string(&config).expect("made");
    // It looks at once.
    let text = text.replacen("gateway: {", "gateway: { reload: { debounceMs: 1 },", 1);
    fs::write(&config, &text).expect("writable");
    let gateway = sandbox.start(&["--profile", "a"], base.port());
    let originals = originals(&config);
    let mut looks = status(&sandbox).expect("it runs")["config"]["looks"].clone();
    for number in 0..CHANGES {
        let (written, mutant) = (Instant::now(), mutant(&mut random, &originals));
        fs::write(&config, &mutant).expect("writable");
        let before = stamp(&config);
        let what = format!(
            "change {number} of seed {seed}: {:?}",
            String::from_utf8_lossy(&mutant[..mutant.len().min(2000)])
        );
        let said = until(&what, || {
            let said = status(&sandbox)?;
            let began_again =
                said["uptimeMs"].as_u64()? < u64::try_from(written.elapsed().as_millis()).ok()?;
            (said["config"]["looks"] != looks || began_again).then_some(said)
        });
        check_said(&said, &what);
        assert_eq!(said["instance"]["pid"], gateway.pid(), "{what}");
        assert!(stamp(&config) == before, "the file was written: {what}");
        looks = said["config"]["looks"].clone();
    }
    assert!(gateway.is_running());
}

#[test]
fn a_gateway_that_has_run_before_starts_whatever_became_of_its_config() {
    let (mut random, seed) = Random::seeded();
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let config = sandbox.state(Some("a")).join("openclaw.json");
    let originals = originals(&config);
    assert_eq!(sandbox.start(&["--profile", "a"], base.port()).stop(), 0);
    for number in 0..STARTS {
        let mutant = mutant(&mut random, &originals);
        fs::write(&config, &mutant).expect("writable");
        let before = stamp(&config);
        let what = format!(
            "start {number} of seed {seed}: {:?}",
            String::from_utf8_lossy(&mutant[..mutant.len().min(2000)])
        );
        let mut gateway: Gateway = sandbox.start(&["--profile", "a"], base.port());
        let said = until(&what, || status(&sandbox));
        check_said(&said, &what);
        assert_eq!(gateway.stop(), 0, "{what}");
        assert!(stamp(&config) == before, "the file was written: {what}");
    }
}
