//! `fleet snapshot` and `fleet restore`: an instance in one file while it works, and back, whole or not at all.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use base::file;
use testkit::gateway::token;
use testkit::{Output, tree};

use crate::fleet_world::{ENDED, World, at_every_change, belongings, contains, files_with};
use crate::scene::{KEY, TOKEN, line, until, write};
use crate::support::{check_advised, text};

/// What is secret in an instance of these stories.
const SECRETS: [&str; 5] =
    [TOKEN, KEY, "sk-key-of-the-env-file", "login-of-a-messaging-service", "key-of-the-device"];
const PASSPHRASE: &str = "open sesame, please";

/// An instance `main`, number 0, with a conversation, work and secrets. It runs.
fn world() -> World {
    let world = World::new();
    world.make("main", 0);
    let state = world.state("main");
    let put = |name: &str, text: &str| {
        let path = state.join(name);
        file::private_folder(path.parent().expect("it has one")).expect("ours");
        write(&path, text);
    };
    let [_, _, key, login, device] = SECRETS;
    put("workspace-main/notes/plan.md", "the plan");
    put("skills/tea/SKILL.md", "brew");
    put(".env", &format!("ACME_API_KEY={key}\n"));
    put("credentials/telegram/creds.json", login);
    put("identity/device.json", device);
    world.start("main");
    world.chat("main", "first");
    world
}

/// A snapshot of `main` in the sandbox.
#[track_caller]
fn take(world: &World, name: &str, words: &[&str]) -> PathBuf {
    let file = world.sandbox.path().join(name);
    let _ = world.fleet(&[&["snapshot", "main", "--output", text(&file)], words].concat()).success();
    file
}

/// Everything that a snapshot holds, as a tool of the system reads it; `None` where it cannot.
fn unpacked(file: &Path) -> Option<Vec<u8>> {
    let output = Command::new("gzip").args(["-dc", text(file)]).output().expect("gzip is there");
    output.status.success().then_some(output.stdout)
}

/// The names of its entries.
#[track_caller]
fn entries(file: &Path) -> Vec<String> {
    let output = Command::new("tar").args(["-tzf", text(file)]).output().expect("tar is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names").lines().map(str::to_owned).collect()
}

/// Its passphrase in a file of its own.
fn passphrase(world: &World, name: &str, passphrase: &str) -> PathBuf {
    let path = world.sandbox.path().join(name);
    write(&path, passphrase);
    path
}

#[test]
fn snapshots_of_a_gateway_at_work_are_whole_and_hold_a_moment_of_its_conversation() {
    const ROUNDS: u16 = 5;
    let world = world();
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let files: Vec<PathBuf> = thread::scope(|scope| {
        let talk = scope.spawn(|| {
            let mut person = world.person("main");
            while !done.load(Ordering::Relaxed) {
                let count = answered.fetch_add(1, Ordering::Relaxed);
                person.ask("main", &format!("message {count}"));
            }
        });
        let files = (0..ROUNDS).map(|it| {
            let before = answered.load(Ordering::Relaxed);
            until("nobody talks", || (answered.load(Ordering::Relaxed) > before).then_some(()));
            take(&world, &format!("{it}.tar.gz"), &[])
        });
        let files = files.collect();
        done.store(true, Ordering::Relaxed);
        talk.join().expect("every message is answered");
        files
    });
    let said = history(&world, "main");
    let mut longest = 0;
    for (nth, path) in (1..).zip(&files) {
        let _ = world.fleet(&["restore", text(path), "--verify"]).success();
        let (name, port) = (format!("copy-{nth}"), world.port(nth).to_string());
        let _ = world.fleet(&["restore", text(path), "--as", &name, "--port", &port]).success();
        world.start(&name);
        let mut copied = history(&world, &name);
        // The moment may have been in the middle of an answer.
        copied.pop_if(|it| it.starts_with(ENDED));
        assert_eq!(copied, said[..copied.len()], "{name}");
        assert!(copied.len() >= longest.max(2), "{} lines after {longest}", copied.len());
        longest = copied.len();
        let plan = world.state(&name).join(format!("workspace-{name}/notes/plan.md"));
        assert_eq!(fs::read_to_string(&plan).expect("its workspace"), "the plan");
    }
}

/// All that was said in a session, of a gateway that runs.
fn history(world: &World, name: &str) -> Vec<String> {
    let mut person = world.person(name);
    let params = serde_json::json!({"sessionKey": "main", "limit": 1000});
    let found = person.wire.request("chat.history", params).expect("a history");
    found["messages"].as_array().expect("messages").iter().map(line).collect()
}

#[test]
fn no_secret_is_in_a_snapshot_unless_it_is_asked_for_and_then_it_is_sealed() {
    let world = world();
    let open = take(&world, "open.tar.gz", &[]);
    let word = passphrase(&world, "word", PASSPHRASE);
    let sealed = take(&world, "sealed.tar.gz", &["--with-secrets", "--passphrase-file", text(&word)]);
    for path in [&open, &sealed] {
        let all = unpacked(path).expect("gzip reads it");
        for secret in SECRETS.into_iter().chain([PASSPHRASE]) {
            assert!(!contains(&all, secret), "{secret} is in {}", path.display());
        }
        for wanted in ["the plan", "brew", "first"] {
            assert!(contains(&all, wanted), "no {wanted} in {}", path.display());
        }
        let names = entries(path);
        for name in ["logs", "gateway.lock", "control.sock", ".env", "credentials", "identity", "generations"]
        {
            let place = format!("state/{name}");
            assert!(!names.iter().any(|it| it.starts_with(&place)), "{name} is in {names:?}");
        }
        let is_sealed = names.iter().any(|it| it == "secrets.enc");
        assert_eq!(is_sealed, path == &sealed, "{names:?}");
    }
    let said = world.fleet(&["restore", text(&open), "--verify", "--json"]).success().json();
    assert_eq!(said["about"]["secrets"]["within"], false, "{said}");
    assert!(said["about"]["secrets"]["files"].to_string().contains(".env"), "{said}");
}

#[test]
fn with_the_passphrase_the_secrets_come_back_and_with_another_nothing_changes() {
    let world = world();
    let word = passphrase(&world, "word", PASSPHRASE);
    let wrong = passphrase(&world, "wrong", "open sesame");
    let sealed = take(&world, "sealed.tar.gz", &["--with-secrets", "--passphrase-file", text(&word)]);
    let port = world.port(1).to_string();
    let restore = |word: &Path| {
        world.fleet(&[
            "restore",
            text(&sealed),
            "--as",
            "b",
            "--port",
            &port,
            "--passphrase-file",
            text(word),
        ])
    };
    let before = tree::hash(world.sandbox.path());
    check_advised(restore(&wrong), 64, &["passphrase"]);
    assert_eq!(tree::hash(world.sandbox.path()), before);
    let needed = world.fleet(&["restore", text(&sealed), "--as", "b", "--port", &port]);
    check_advised(needed, 64, &["a passphrase is needed"]);
    assert_eq!(tree::hash(world.sandbox.path()), before);

    let _ = restore(&word).success();
    assert_eq!(token(&world.state("b")), TOKEN);
    for secret in SECRETS {
        assert!(!files_with(&world.state("b"), secret).is_empty(), "{secret} did not come back");
    }
    world.start("b");
    world.chat("b", "and now?");
}

#[test]
fn a_damaged_snapshot_is_refused_before_anything_is_replaced() {
    let world = world();
    let good = take(&world, "good.tar.gz", &[]);
    world.stop("main");
    let (bytes, whole) = (fs::read(&good).expect("it was taken"), unpacked(&good));
    let damaged = world.sandbox.path().join("damaged.tar.gz");
    let before = tree::hash(&world.sandbox.home());
    let check = |what: &str, bytes: &[u8]| {
        fs::write(&damaged, bytes).expect("writable");
        for words in [&["--verify"][..], &[], &["--as", "b"]] {
            let output = world.fleet(&[&["restore", text(&damaged)], words].concat());
            assert!(output.status == 1, "{what}, {words:?}: {output}");
            assert!(output.stderr.contains("damaged.tar.gz"), "{what}: {output}");
            assert_eq!(tree::hash(&world.sandbox.home()), before, "{what}, {words:?}");
        }
    };
    for nth in 0..10 {
        let length = bytes.len() * nth / 10;
        check(&format!("the first {length} bytes"), &bytes[..length]);
    }
    for nth in 1..40 {
        let mut flipped = bytes.clone();
        let at = bytes.len() * nth / 40;
        flipped[at] ^= 0x10;
        fs::write(&damaged, &flipped).expect("writable");
        // Some bits of a deflate stream say nothing.
        if unpacked(&damaged) != whole {
            check(&format!("a bit of byte {at}"), &flipped);
        }
    }
    check("text", b"no snapshot at all");
    let _ = world.fleet(&["restore", text(&good), "--verify"]).success();
}

#[test]
fn a_restore_goes_over_a_stopped_instance_alone_and_leaves_it_its_secrets() {
    let world = world();
    let file = take(&world, "main.tar.gz", &[]);
    world.chat("main", "second");
    let state = world.state("main");
    write(&state.join("workspace-main/later.md"), "written later");
    let before = belongings(&state);
    let pid = world.row("main")["pid"].to_string();
    check_advised(world.fleet(&["restore", text(&file)]), 69, &["main", &format!("pid {pid}")]);
    assert_eq!(belongings(&state), before);
    world.chat("main", "third");

    world.stop("main");
    let said = world.fleet(&["restore", text(&file), "--json"]).success().json();
    assert_eq!((&said["replaced"], &said["missing"]), (&true.into(), &serde_json::json!([])), "{said}");
    assert!(!state.join("workspace-main/later.md").exists());
    for secret in SECRETS {
        assert!(!files_with(&state, secret).is_empty(), "{secret} is lost");
    }
    assert_eq!(world.history("main"), ["user: first", "assistant: echo: first"]);
    assert_eq!(world.staging(), [""; 0]);
}

/// A snapshot is never written over a file, nor are two of one second taken for one.
#[test]
fn a_file_that_is_there_is_not_replaced() {
    let world = world();
    let file = take(&world, "main.tar.gz", &[]);
    let before = fs::read(&file).expect("it was taken");
    check_advised(world.fleet(&["snapshot", "main", "--output", text(&file)]), 64, &["main.tar.gz"]);
    assert_eq!(fs::read(&file).expect("it is there"), before);
    for _ in 0..3 {
        let _ = world.fleet(&["snapshot", "main"]).success();
    }
    let taken = fs::read_dir(world.sandbox.path().join("cwd")).expect("the working directory").count();
    assert_eq!(taken, 3);
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_instance_or_the_new_one() {
    let world = world();
    let file = take(&world, "new.tar.gz", &[]);
    world.stop("main");
    let state = world.state("main");
    let restore = || world.command(&["restore", text(&file)]);
    let _ = Output::of(restore()).success();
    let new = belongings(&state);
    let age = || write(&state.join("workspace-main/older.md"), "in the old one alone");
    age();
    let old = belongings(&state);
    let mut outcomes = [0, 0];
    at_every_change(restore, |place| {
        let found = belongings(&state);
        let is_old = found == old;
        assert!(is_old || found == new, "{place}: neither: {found:?}\nold: {old:?}\nnew: {new:?}");
        outcomes[usize::from(is_old)] += 1;
        let left = world.staging().len();
        let repaired = world.repair();
        assert_eq!(world.staging(), [""; 0], "{place}: {repaired:?}");
        assert_eq!(repaired.iter().filter(|it| it.contains("restoring-")).count(), left, "{repaired:?}");
        assert_eq!(belongings(&state), found, "{place}: the repair changed the instance");
        world.check_repaired();
        age();
    });
    assert!(outcomes.iter().all(|it| *it > 10), "{outcomes:?}");
    assert_eq!(world.names(), ["main"]);
    let _ = Output::of(restore()).success();
    assert_eq!(world.history("main"), ["user: first", "assistant: echo: first"]);
}

/// The folder in which a restore works is its own as long as it works.
#[test]
fn a_restore_succeeds_while_repairs_go_on_beside_it() {
    let world = world();
    let state = world.state("main");
    // Enough to be at work for a while.
    for it in 0..40 {
        write(&state.join(format!("workspace-main/{it}.bin")), &format!("{it}").repeat(200_000));
    }
    let file = take(&world, "main.tar.gz", &[]);
    let port = world.port(1).to_string();
    thread::scope(|scope| {
        let restore = scope.spawn(|| world.fleet(&["restore", text(&file), "--as", "b", "--port", &port]));
        let mut during = 0;
        while !restore.is_finished() {
            during += usize::from(!world.staging().is_empty());
            world.repair();
        }
        assert!(during > 0, "no repair met the restore");
        let _ = restore.join().expect("it ends").success();
    });
    assert_eq!(tree::hash(&world.state("b").join("workspace-b")), tree::hash(&state.join("workspace-main")));
}
