//! Logs as files on disk, read and followed.

use std::io::Write;

use profile::{Ambient, ProfileName};

use super::*;
use base::file;

fn instance(home: &Path, name: &str) -> Instance {
    let text = home.display().to_string();
    let ambient = Ambient::of(&[("HOME", &text)], home);
    let profile = ProfileName::parse(name).expect("a name");
    let it = Instance::of_profile(&ambient, profile).expect("resolves");
    base::file::private_folder(&it.state_dir.join("logs")).expect("made");
    it
}

fn write(instance: &Instance, text: &str) {
    let mut log = file::append(&path(instance)).expect("opened");
    log.write_all(text.as_bytes()).expect("written");
}

fn shown(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|it| format!("{}: {}", it.instance, it.text)).collect()
}

fn opened(instances: &[&Instance]) -> Vec<Log> {
    instances.iter().filter_map(|it| Log::open(it).expect("opens")).collect()
}

fn last(instances: &[&Instance], limit: usize) -> Vec<String> {
    let wanted = Wanted { limit: Some(limit), ..Wanted::default() };
    shown(&lines(&opened(instances), &wanted).expect("read"))
}

#[track_caller]
fn next(follow: &mut Follow, count: usize) -> Vec<String> {
    let nothing = std::fs::File::open("/dev/null").expect("opens");
    let mut lines = Vec::new();
    while lines.len() < count {
        match follow.wait(&nothing).expect("told") {
            News::Lines(it) => lines.extend(it),
            News::NobodyReads => panic!("nothing is closed"),
        }
    }
    shown(&lines)
}

#[test]
fn lines_of_several_are_in_the_order_of_their_times() {
    let home = tempfile::tempdir().expect("a folder");
    let (a, b) = (instance(home.path(), "a"), instance(home.path(), "b"));
    assert!(Log::open(&a).expect("looked").is_none());
    write(&a, "2026-11-22T10:00:00Z one\nand more\n2026-11-22T10:00:02Z three\n");
    write(&b, "2026-11-22T10:00:01Z two\n2026-11-22T10:00:02Z four\n");
    assert_eq!(last(&[&a, &b], 10), ["a: one", "a: and more", "b: two", "a: three", "b: four"]);
    assert_eq!(last(&[&a, &b], 1), ["b: four"]);
    assert!(last(&[&a, &b], 0).is_empty());
}

#[test]
fn what_was_put_aside_is_read_as_far_as_it_is_wanted() {
    let home = tempfile::tempdir().expect("a folder");
    let a = instance(home.path(), "a");
    // Lines of many lengths, some longer than what is read at once.
    let line = |at: usize| {
        format!("2026-11-22T10:{:02}:{:02}Z [a] {at}{}", at / 60, at % 60, "x".repeat(at % 7 * 20_000))
    };
    for at in 0..100 {
        write(&a, &(line(at) + "\n"));
        if at % 30 == 29 {
            file::put_aside(&path(&a), 5).expect("put aside");
        }
    }
    let log = Log::open(&a).expect("opens").expect("there");
    let found =
        |wanted: Wanted| log.lines(&wanted).expect("read").iter().map(Line::to_string).collect::<Vec<_>>();
    let expected = |from: usize| (from..100).map(line).collect::<Vec<_>>();
    assert_eq!(found(Wanted::default()), expected(0));
    assert_eq!(found(Wanted { limit: Some(45), ..Wanted::default() }), expected(55));
    let since = since("2026-11-22T10:00:33Z", 0).ok();
    assert_eq!(found(Wanted { since, ..Wanted::default() }), expected(33));
}

#[test]
fn what_is_written_later_is_told_whole_lines_at_a_time_also_after_rotations() {
    let home = tempfile::tempdir().expect("a folder");
    let (a, b) = (instance(home.path(), "a"), instance(home.path(), "b"));
    write(&a, "2026-11-22T10:00:00Z before\n2026-11-22T10:00:01Z wh");
    write(&b, "");
    let mut logs = opened(&[&a, &b]);
    let mut follow = Follow::begin(&mut logs).expect("watches");
    assert_eq!(shown(&lines(&logs, &Wanted::default()).expect("read")), ["a: before"]);
    write(&a, "ole\n2026-11-22T10:00:02Z ha");
    assert_eq!(next(&mut follow, 1), ["a: whole"]);
    write(&a, "lf\n");
    assert_eq!(next(&mut follow, 1), ["a: half"]);
    // Twice before anybody looks.
    for at in 3..6 {
        write(&a, &format!("2026-11-22T10:00:0{at}Z last\n"));
        file::put_aside(&path(&a), 5).expect("rotated");
        write(&a, &format!("2026-11-22T10:00:0{at}Z first\n"));
    }
    write(&b, "2026-11-22T10:00:09Z begun\n");
    let expected = ["a: last", "a: first", "a: last", "a: first", "a: last", "a: first", "b: begun"];
    assert_eq!(next(&mut follow, 7), expected);
}

#[test]
fn a_reader_that_goes_ends_the_waiting() {
    let home = tempfile::tempdir().expect("a folder");
    let a = instance(home.path(), "a");
    write(&a, "x\n");
    let mut follow = Follow::begin(&mut opened(&[&a])).expect("watches");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    assert_eq!(follow.wait(&writer).expect("told"), News::Lines(Vec::new()));
    drop(reader);
    assert_eq!(follow.wait(&writer).expect("told"), News::NobodyReads);
}
