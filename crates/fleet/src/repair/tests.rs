//! Registries as power cuts, kills and people leave them.

use std::fs;

use profile::Claims;
use profile::claims::Claim;
use profile::ports::Role;

use super::*;
use crate::places::fixture::{Home, contents};

fn record_file(host: &Host) -> PathBuf {
    let entries = fs::read_dir(host.folder().join("instances")).expect("list").flatten();
    entries.map(|it| it.path()).next().expect("one is there")
}

fn words(repairs: &[Repair]) -> Vec<String> {
    repairs.iter().map(|it| it.to_string().split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// What a look tells is what a run does, and after that there is nothing to tell.
#[track_caller]
fn check(home: &Home, host: &Host, expected: &[&str]) -> Vec<Repair> {
    let before = contents(&home.path(""));
    let told = look(host, &home.ambient);
    assert_eq!(contents(&home.path("")), before, "a look changes nothing");
    assert_eq!(words(&told), expected, "{told:?}");
    let done = run(host, &home.ambient, "2");
    assert_eq!(done, told);
    assert_eq!(run(host, &home.ambient, "2"), [], "nothing is left");
    done
}

#[test]
fn a_record_is_rebuilt_from_the_folder_however_it_was_lost() {
    type Damage = fn(&Host);
    let damages: [(Damage, &[&str]); 4] = [
        (|host| fs::remove_file(record_file(host)).expect("removed"), &["record"]),
        (|host| file::replace(&record_file(host), b"").expect("emptied"), &["record"]),
        (
            |host| {
                let text = fs::read(record_file(host)).expect("read");
                file::replace(&record_file(host), &text[..text.len() / 2]).expect("cut");
            },
            &["record"],
        ),
        (
            |host| {
                let garbage = host.folder().join("instances/garbage.json");
                file::replace(&garbage, b"\0\xff{").expect("written");
            },
            &["remove"],
        ),
    ];
    for (damage, expected) in damages {
        let home = Home::new();
        let work = home.with("work", "{ gateway: { port: 20000 } }", 20000);
        let whole = work.host.read(&work.state_dir).expect("recorded");
        damage(&work.host);
        check(&home, &work.host, expected);
        let all = work.host.all();
        assert_eq!(all, [Record { version: all[0].version.clone(), ..whole }]);
        assert!(work.host.unreadable().is_empty());
    }
}

#[test]
fn the_port_is_whoever_knows_it_best() {
    let home = Home::new();
    let work = home.with("work", "{ gateway: { port: 20000 } }", 20000);
    let host = work.host.clone();
    let port = || host.all().first().map(|it| it.port);
    let forget = || fs::remove_file(record_file(&host)).expect("removed");
    profile::generations::accept(&work.state_dir, "{ gateway: { port: 22000 } }").expect("written");
    forget();
    file::replace(&work.config_path, b"{ gateway: { port: ").expect("broken");
    check(&home, &host, &["record"]);
    assert_eq!(port(), Some(22000), "the last config that was accepted");
    forget();
    let mut claims = Claims::new(&host.claims(), "work", &work.state_dir);
    claims.take_folder().expect("free");
    claims.take(Claim::Port(Role::Gateway, 23000)).expect("free");
    check(&home, &host, &["record"]);
    assert_eq!(port(), Some(23000), "the claim of the one that runs");
    let held = fs::read(host.claims().join("port-23000")).expect("read");
    drop(claims);
    forget();
    file::replace(&host.claims().join("port-23000"), &held).expect("as a kill leaves it");
    check(&home, &host, &["record", "remove"]);
    assert_eq!(port(), Some(23000), "the claim of the one that was killed");
    forget();
    fs::remove_dir_all(work.state_dir.join("generations")).expect("removed");
    check(&home, &host, &["record"]);
    assert!(port().is_some_and(|it| it >= profile::ports::DEFAULT_BASE), "the next good base");
}

#[test]
fn a_record_that_contradicts_the_disk_is_corrected() {
    let home = Home::new();
    let work = home.with(
        "work",
        "{ gateway: { port: 20020 }, browser: { profiles: { a: { cdpPort: 25000 } } } }",
        1,
    );
    let wrong = Record {
        name: "play".into(),
        profile: Some("play".into()),
        config_path: home.path("nowhere.json"),
        port: 20000,
        ..work.host.read(&work.state_dir).expect("recorded")
    };
    work.host.write(&wrong).expect("written");
    let repairs = check(&home, &work.host, &["correct"]);
    let text = repairs[0].done();
    for word in ["corrected", "name play is work", "profile play is work", "port 20000 is 20020", "config "] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert_eq!(work.host.all(), [Record::of(&work, 20020, vec![25000], "2")]);

    let mut claims = Claims::new(&work.host.claims(), "work", &work.state_dir);
    claims.take_folder().expect("free");
    claims.take(Claim::Port(Role::Gateway, 24000)).expect("free");
    check(&home, &work.host, &["correct"]);
    assert_eq!(work.host.all()[0].port, 24000, "it runs there, whatever its config says");
}

#[test]
fn a_record_without_a_folder_is_forgotten_and_one_folder_has_one_record() {
    let home = Home::new();
    let work = home.with("work", "{ gateway: { port: 20000 } }", 20000);
    let gone = home.with("gone", "{}", 21000);
    fs::remove_dir_all(&gone.state_dir).expect("removed");
    let copied = work.host.folder().join("instances/00.json");
    let mut second = work.host.read(&work.state_dir).expect("recorded");
    second.port = 29000;
    file::replace(&copied, &serde_json::to_vec(&second).expect("text")).expect("written");
    check(&home, &work.host, &["forget", "remove"]);
    let all: Vec<_> = work.host.all().into_iter().map(|it| (it.name, it.port)).collect();
    assert_eq!(all, [("work".to_owned(), 20000)]);
}

#[test]
fn one_that_was_started_by_its_folder_alone_is_found_by_its_claims_or_what_is_left_of_its_record() {
    let home = Home::new();
    home.write("data/acme/openclaw.json", "{}");
    let acme = Instance::of_folder(&home.ambient, &home.path("data/acme"));
    let mut claims = Claims::new(&acme.host.claims(), "acme", &acme.state_dir);
    claims.take_folder().expect("free");
    let plan = profile::Plan::of(26000).expect("good");
    claims.take_config_and_ports(&acme.config_path, &plan).expect("free");
    check(&home, &acme.host, &["record"]);
    let expected = Record::of(&acme, 26000, Vec::new(), "2");
    assert_eq!(acme.host.all(), std::slice::from_ref(&expected));
    drop(claims);
    check(&home, &acme.host, &[]);
    let text = fs::read_to_string(record_file(&acme.host)).expect("read");
    let cut = text.find("\"configPath\"").expect("it is there");
    file::replace(&record_file(&acme.host), &text.as_bytes()[..cut]).expect("cut");
    check(&home, &acme.host, &["record"]);
    assert_eq!(acme.host.all()[0].name, "acme");
}

#[test]
fn a_folder_that_is_none_of_ours_gets_no_record() {
    let home = Home::new();
    home.write(".openclaw-notes/photo.jpg", "x");
    home.write(".openclaw/agents/x", "x");
    let host = home.instance("work").host;
    check(&home, &host, &[]);
    assert!(host.all().is_empty());
}

#[test]
fn instances_without_any_port_are_given_different_ones() {
    let home = Home::new();
    for name in ["a", "b"] {
        home.write(&format!(".openclaw-{name}/openclaw.json"), "{}");
    }
    let host = home.instance("a").host;
    check(&home, &host, &["record", "record"]);
    let ports: Vec<u16> = host.all().iter().map(|it| it.port).collect();
    assert!(ports[0] != ports[1], "{ports:?}");
}

#[test]
fn what_cannot_be_done_is_told_and_the_rest_is_done() {
    let home = Home::new();
    let work = home.with("work", "{ gateway: { port: 20000 } }", 20020);
    fs::create_dir(work.host.folder().join("instances/folder.json")).expect("made");
    let done = run(&work.host, &home.ambient, "2");
    assert_eq!(words(&done), ["correct", "could"], "{done:?}");
    assert!(done[1].done().starts_with("could not remove "), "{}", done[1]);
}
