//! Snapshots that are not what they were, or were made to do harm: named, and the target is as it was.

use std::fs::{self, File};
use std::io::Write;

use base::file;
use base::random::hex_of;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tar::{EntryType, Header};

use super::super::{ABOUT, MANIFEST, SnapshotError, inspect, verify};
use super::{Scene, inflated};

#[test]
fn a_cut_snapshot_is_told_at_every_length_and_changes_nothing() {
    let scene = Scene::new();
    scene.take("a.tar.gz", Some("right")).expect("taken");
    let whole = fs::read(scene.at("a.tar.gz")).expect("read");
    let mut named = Vec::new();
    let lengths = [0, 9, 40, whole.len() / 3, whole.len() / 2, whole.len() - 200, whole.len() - 1];
    for length in lengths {
        scene.write("cut.tar.gz", &whole[..length]);
        let before = scene.tree("");
        let found = verify(&scene.at("cut.tar.gz")).expect_err("cut");
        match &found {
            SnapshotError::Damaged { entry, .. } => named.push(entry.clone()),
            SnapshotError::NotASnapshot { .. } => assert!(length < 100, "{length}: {found}"),
            other => panic!("{length}: {other}"),
        }
        for name in ["work", "other"] {
            assert!(scene.restore("cut.tar.gz", name, None).is_err(), "{length}");
        }
        assert_eq!(scene.tree(""), before, "{length}");
    }
    assert!(named.contains(&"state/workspace-work/large.bin".to_owned()), "{named:?}");
    assert_eq!(named.last().map(String::as_str), Some(MANIFEST));
}

#[test]
fn one_byte_that_differs_is_told_wherever_it_is() {
    let scene = Scene::new();
    scene.take("a.tar.gz", Some("right")).expect("taken");
    let whole = fs::read(scene.at("a.tar.gz")).expect("read");
    let before = scene.tree(".openclaw-work");
    let step = whole.len() / 15;
    // The first ten bytes are gzip's own, of which some say nothing.
    for at in (12..whole.len()).step_by(step).chain([whole.len() - 1, whole.len() - 8]) {
        let mut altered = whole.clone();
        altered[at] ^= 0x10;
        scene.write("altered.tar.gz", &altered);
        let found = verify(&scene.at("altered.tar.gz"));
        assert!(found.is_err(), "byte {at} of {}", whole.len());
        assert!(scene.restore("altered.tar.gz", "work", Some("right")).is_err(), "byte {at}");
    }
    let more = [whole.as_slice(), b"more"].concat();
    scene.write("altered.tar.gz", &more);
    assert!(verify(&scene.at("altered.tar.gz")).is_err());
    assert_eq!(scene.tree(".openclaw-work"), before);
}

#[test]
fn a_byte_inside_a_file_is_told_with_the_file() {
    let scene = Scene::new();
    scene.take("a.tar.gz", None).expect("taken");
    let mut tar = inflated(&scene.at("a.tar.gz"));
    let at = tar.windows(9).position(|it| it == b"# a skill").expect("it is in there");
    tar[at] = b'!';
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar).expect("written");
    scene.write("b.tar.gz", &encoder.finish().expect("ends"));
    let found = verify(&scene.at("b.tar.gz")).expect_err("altered");
    assert!(
        found.to_string().ends_with("is damaged at state/skills/x/SKILL.md: its sum is another"),
        "{found}"
    );
}

#[test]
fn other_files_are_no_snapshots() {
    let scene = Scene::new();
    scene.write("text", b"hello");
    for name in ["text", "desk"] {
        let found = inspect(&scene.at(name)).expect_err("no snapshot");
        assert!(matches!(found, SnapshotError::NotASnapshot { .. }), "{found}");
    }
    assert!(matches!(inspect(&scene.at("missing")), Err(SnapshotError::File(_))));
    let mut archive = Archive::empty();
    archive.file(ABOUT, br#"{"format": 99, "whatever": 1}"#);
    archive.write(&scene, "newer");
    let found = inspect(&scene.at("newer")).expect_err("newer");
    assert!(matches!(found, SnapshotError::Newer { found: 99, .. }), "{found}");
}

/// An archive as somebody might make it who means harm: every sum in its manifest is right.
struct Archive {
    tar: tar::Builder<Vec<u8>>,
    entries: Vec<serde_json::Value>,
}

impl Archive {
    fn empty() -> Self {
        Self { tar: tar::Builder::new(Vec::new()), entries: Vec::new() }
    }

    fn begun(scene: &Scene) -> Self {
        let mut archive = Self::empty();
        let about = json!({"format": 1, "instance": "work", "version": "1", "createdAt": "now",
            "stateDir": scene.at(".openclaw-work"), "workspace": "workspace-work", "hasConfig": false,
            "outside": [], "secrets": {"within": false, "config": [], "files": [], "isConfigWhole": false}});
        archive.file(ABOUT, about.to_string().as_bytes());
        archive.put("state", EntryType::Directory, "", b"");
        archive
    }

    fn file(&mut self, path: &str, bytes: &[u8]) {
        self.put(path, EntryType::Regular, "", bytes);
    }

    /// Writes the header itself, since the tar crate refuses some of these paths.
    fn put(&mut self, path: &str, kind: EntryType, place: &str, bytes: &[u8]) {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + place.len()].copy_from_slice(place.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        self.tar.append(&header, bytes).expect("written");
        let (kind, summed) = match kind {
            EntryType::Directory => ("folder", bytes),
            EntryType::Symlink => ("link", place.as_bytes()),
            _ => ("file", bytes),
        };
        let sum = hex_of(digest(&SHA256, summed).as_ref());
        let size = bytes.len();
        self.entries.push(json!({"path": path, "kind": kind, "size": size, "mode": 0o644, "sha256": sum}));
    }

    fn write(mut self, scene: &Scene, to: &str) {
        let manifest = json!({"entries": self.entries}).to_string();
        self.file(MANIFEST, manifest.as_bytes());
        let tar = self.tar.into_inner().expect("ends");
        let made: File = file::new_file(&scene.at(to)).expect("made");
        let mut encoder = GzEncoder::new(made, Compression::fast());
        encoder.write_all(&tar).and_then(|()| encoder.finish().map(drop)).expect("written");
    }
}

type Put = fn(&mut Archive);

#[track_caller]
fn check_hostile(scene: &Scene, name: &str, put: Put, expected: &str) {
    let mut archive = Archive::begun(scene);
    put(&mut archive);
    archive.write(scene, name);
    let before = scene.tree("");
    let found = verify(&scene.at(name)).expect_err(name).to_string();
    assert!(found.contains(expected), "{name}: {found}");
    for target in ["work", "other"] {
        let refused = scene.restore(name, target, None).expect_err(name).to_string();
        assert!(refused.contains(expected), "{name}: {refused}");
    }
    assert_eq!(scene.tree(""), before, "{name}");
}

#[test]
fn an_archive_that_was_made_by_hand_and_is_good_is_taken() {
    let scene = Scene::new();
    let mut archive = Archive::begun(&scene);
    archive.file("state/a", b"a");
    archive.put("state/l", EntryType::Symlink, "a", b"");
    archive.write(&scene, "good.tar.gz");
    verify(&scene.at("good.tar.gz")).expect("sound");
    scene.restore("good.tar.gz", "other", None).expect("restored");
    assert_eq!(scene.read(".openclaw-other/l"), "a");
}

#[test]
fn nothing_is_written_outside_by_any_path_link_or_kind() {
    let elsewhere = "its path leads elsewhere";
    let away = "it is a link that leads elsewhere";
    let no_folder = "no folder of a snapshot holds it";
    let kind = "it is no file, folder or symbolic link";
    let cases: &[(&str, Put, &str)] = &[
        ("up", |it| it.file("state/../../x", b"x"), elsewhere),
        ("up at once", |it| it.file("../x", b"x"), elsewhere),
        ("absolute", |it| it.file("/tmp/x", b"x"), "its path is absolute"),
        ("no such folder", |it| it.file("state/a/b", b"x"), no_folder),
        ("another top", |it| it.file("bin", b"x"), no_folder),
        (
            "a file as workspace",
            |it| {
                it.put("outside", EntryType::Directory, "", b"");
                it.file("outside/0", b"x");
            },
            "it is no workspace",
        ),
        (
            "twice",
            |it| {
                it.file("state/a", b"x");
                it.file("state/a", b"y");
            },
            "it is there twice",
        ),
        ("a link up", |it| it.put("state/l", EntryType::Symlink, "../x", b""), away),
        ("a link to all", |it| it.put("state/l", EntryType::Symlink, "/", b""), away),
        ("a link down and up", |it| it.put("state/l", EntryType::Symlink, "a/../../x", b""), away),
        ("a link to another tree", |it| it.put("state/l", EntryType::Symlink, "../outside", b""), away),
        ("a link for the state", |it| it.put("outside", EntryType::Symlink, "/", b""), no_folder),
        (
            "through a link",
            |it| {
                it.put("state/d", EntryType::Directory, "", b"");
                it.put("state/l", EntryType::Symlink, "d", b"");
                it.file("state/l/x", b"x");
            },
            no_folder,
        ),
        ("a hard link", |it| it.put("state/l", EntryType::Link, "/etc/passwd", b""), kind),
        ("a device", |it| it.put("state/d", EntryType::Char, "", b""), kind),
        ("a disk", |it| it.put("state/d", EntryType::Block, "", b""), kind),
        ("a pipe", |it| it.put("state/d", EntryType::Fifo, "", b""), kind),
        ("other headers", |it| it.put("state/d", EntryType::XHeader, "", b"12 path=/x\n"), kind),
        ("a folder with contents", |it| it.put("state/d", EntryType::Directory, "", b"x"), "only a file"),
        ("a long name", |it| it.put("x", EntryType::GNULongName, "", &[b'a'; 9000]), "a name is too long"),
    ];
    let scene = Scene::new();
    for (name, put, expected) in cases {
        check_hostile(&scene, name, *put, expected);
    }
}

#[test]
fn the_manifest_lists_everything_once_and_nothing_else() {
    let cases: &[(&str, Put, &str)] = &[
        (
            "unlisted",
            |it| {
                it.file("state/a", b"x");
                it.entries.pop();
            },
            "state/a: the manifest does not list it",
        ),
        (
            "listed and missing",
            |it| {
                let mut entry = it.entries[1].clone();
                entry["path"] = json!("state/gone");
                it.entries.push(entry);
            },
            "state/gone: it is missing",
        ),
        ("listed twice", |it| it.entries.push(it.entries[1].clone()), "the manifest lists it twice"),
        ("two manifests", |it| it.file(MANIFEST, br#"{"entries": []}"#), "it is there twice"),
    ];
    let scene = Scene::new();
    for (name, put, expected) in cases {
        check_hostile(&scene, name, *put, expected);
    }
}
