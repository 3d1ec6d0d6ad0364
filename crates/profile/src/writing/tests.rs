//! Config files as several people write them at once.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;

use super::*;

fn instance(home: &Path) -> Instance {
    let home = home.display().to_string();
    Instance::of_profile(&Ambient::of(&[("HOME", &home)], Path::new(&home)), None).expect("resolves")
}

fn author() -> Author {
    Author { by: "test".to_owned(), why: "to see".to_owned() }
}

fn text_of(instance: &Instance) -> String {
    fs::read_to_string(&instance.config_path).expect("there")
}

#[test]
fn writes_on_its_base_only_and_tells_what_the_other_changed() {
    let home = tempfile::tempdir().expect("a folder");
    let it = instance(home.path());
    let first = "{ gateway: { port: 1, auth: { token: 'hush' } } }";
    let written = write(&it, None, first, &author()).expect("nothing was there");
    assert_eq!((written.sum.as_str(), written.is_new), (sum(first).as_str(), true));
    assert_eq!(fs::metadata(&it.config_path).expect("there").permissions().mode() & 0o777, 0o600);
    let second = "{ gateway: { port: 2, auth: { token: 'hash' } } }";
    write(&it, Some(&sum(first)), second, &author()).expect("its base");
    for base in [Some(sum(first)), None] {
        let refused = write(&it, base.as_deref(), "{}", &author()).expect_err("it is another");
        let NotWritten::Changed { now, changes } = refused else { panic!("{refused:?}") };
        let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(now, sum(second));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].ends_with("→ 2") && !told.concat().contains("ha"), "{told:?}");
    }
    assert_eq!(text_of(&it), second);
    let same = write(&it, Some(&sum(second)), second, &author()).expect("its base");
    assert!(!same.is_new && same.changes.is_empty());
    assert_eq!(fs::read_dir(&it.state_dir).expect("list").count(), 3, "config, lock, generations");
}

#[test]
fn a_text_that_is_written_is_accepted_with_its_author() {
    let home = tempfile::tempdir().expect("a folder");
    let it = instance(home.path());
    write(&it, None, "{a:1}", &author()).expect("written");
    generations::accept(&it.state_dir, "{a:1}").expect("accepted");
    let last = generations::last(&it.state_dir).expect("there");
    assert_eq!((last.by.as_str(), last.why.as_str()), ("test", "to see"));
}

#[test]
fn a_link_stays_a_link_and_a_broken_text_can_be_written_over_and_is_kept() {
    let home = tempfile::tempdir().expect("a folder");
    let it = instance(home.path());
    folder::prepare(&it.state_dir).expect("made");
    let elsewhere = home.path().join("dotfiles/openclaw.json");
    file::private_folder(elsewhere.parent().expect("a folder")).expect("made");
    symlink("../dotfiles/openclaw.json", &it.config_path).expect("linked");
    write(&it, None, "{a:1}", &author()).expect("the link leads to nothing yet");
    fs::write(&elsewhere, b"{ a: \xff").expect("writable");
    let now = current(&it).expect("read");
    write(&it, Some(&now.sum), "{a:2}", &author()).expect("its base");
    assert!(fs::symlink_metadata(&it.config_path).expect("there").is_symlink());
    assert_eq!(fs::read_to_string(&elsewhere).expect("there"), "{a:2}");
    let kept = generations::folder(&it.state_dir).join(format!("replaced-{}.json5", &now.sum[..16]));
    assert_eq!(fs::read(kept).expect("kept"), b"{ a: \xff");
    symlink("loop", home.path().join("loop")).expect("linked");
    let looped = Instance { config_path: home.path().join("loop"), ..it };
    assert!(matches!(write(&looped, None, "{}", &author()), Err(NotWritten::Io(_))));
}

#[test]
fn what_a_killed_writer_left_is_kept_and_cleared_away() {
    let home = tempfile::tempdir().expect("a folder");
    let it = instance(home.path());
    write(&it, None, "{a:1}", &author()).expect("written");
    let draft = file::draft(&it.config_path, b"{somebody: 'else'}").expect("written");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    fs::File::open(&draft).and_then(|it| it.set_modified(long_ago)).expect("ours");
    write(&it, Some(&sum("{a:1}")), "{a:2}", &author()).expect("written");
    assert!(!draft.exists());
    let kept = history::text_of(&it.state_dir, &sum("{somebody: 'else'}"));
    assert_eq!(kept.as_deref(), Some("{somebody: 'else'}"));
}

#[test]
fn two_hundred_at_once_each_write_on_their_base_or_are_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let it = instance(home.path());
    write(&it, None, "{ n: 0 }", &author()).expect("written");
    let base = sum("{ n: 0 }");
    let attempt = |n: usize| write(&it, Some(&base), &format!("{{ n: {n} }}"), &author());
    let results: Vec<(usize, Result<Written, NotWritten>)> = thread::scope(|scope| {
        let threads: Vec<_> = (1..=200)
            .map(|n| {
                scope.spawn({
                    let attempt = &attempt;
                    move || (n, attempt(n))
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().expect("no panic")).collect()
    });
    let wrote: Vec<usize> = results.iter().filter(|(_, it)| it.is_ok()).map(|(n, _)| *n).collect();
    let [winner] = wrote[..] else { panic!("{wrote:?} wrote on one base") };
    let text = format!("{{ n: {winner} }}");
    assert_eq!(text_of(&it), text);
    for refused in results.into_iter().filter_map(|(_, it)| it.err()) {
        let NotWritten::Changed { now, changes } = refused else { panic!("{refused:?}") };
        assert_eq!((now, changes[0].after.clone()), (sum(&text), Some(winner.to_string())));
    }
}

#[test]
fn a_config_that_is_managed_elsewhere_is_known() {
    let told = |name: &str, value: &str| is_read_only(&Ambient::of(&[(name, value)], Path::new("/")));
    assert_eq!(told("OPENCLAW_CONFIG_READONLY", "1"), Some("OPENCLAW_CONFIG_READONLY"));
    assert_eq!(told("OPENCLAW_NIX_MODE", "1"), Some("OPENCLAW_NIX_MODE"));
    assert_eq!(told("OPENCLAW_CONFIG_READONLY", "true"), None);
}

#[test]
fn a_text_that_no_reader_would_take_is_not_written() {
    let home = tempfile::tempdir().expect("a folder");
    let it = instance(home.path());
    let large = "x".repeat(3 * 1024 * 1024);
    assert!(matches!(write(&it, None, &large, &author()), Err(NotWritten::Io(_))));
    assert!(!it.config_path.exists() && !it.state_dir.exists());
}
