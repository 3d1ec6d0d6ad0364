//! Renamings, whole and cut off at every step.

use profile::Claims;
use serde_json::json;

use super::*;
use crate::places::fixture::{Home, contents};
use crate::repair::{self, Repair};

const CONFIG: &str = "{\n  // mine\n  agents: { defaults: { workspace: '~/.openclaw-old/workspace-old' } },\n  \
                      skills: ['~/.openclaw-old/skills'],\n}\n";

fn home() -> (Home, Instance, Instance) {
    let home = Home::new();
    let old = home.with("old", CONFIG, 20000);
    home.with("guard", "{ gateway: { port: 21000 } }", 21000);
    home.write(".openclaw-guard/ledger.json", r#"{"rescueFor": "old", "sessions": 3}"#);
    let new = home.instance("new");
    (home, old, new)
}

#[track_caller]
fn check_renamed(home: &Home, old: &Instance, new: &Instance) {
    assert!(!old.state_dir.exists());
    assert_eq!(home.names(".openclaw-new"), ["openclaw.json", "workspace-new"]);
    let document = Document::load(&new.config_path).expect("it parses");
    assert!(document.text().contains("// mine"), "{}", document.text());
    assert_eq!(document.get("agents.defaults.workspace"), Some(&json!("~/.openclaw-new/workspace-new")));
    assert_eq!(document.get("skills"), Some(&json!(["~/.openclaw-new/skills"])));
    assert_eq!(document.port(), Some(20000), "the port that it was set up for");
    let guard = ledger::read(&home.path(".openclaw-guard"));
    assert_eq!((guard.rescue_for.as_deref(), guard.sessions), (Some("new"), Some(3)));
    let records: Vec<_> = old.host.all().into_iter().map(|it| (it.name, it.port)).collect();
    assert_eq!(records, [("guard".to_owned(), 21000), ("new".to_owned(), 20000)]);
}

#[test]
fn an_instance_goes_with_all_that_is_its_own() {
    let (home, old, new) = home();
    let renamed = rename(&old, &new, &home.ambient, None, "2").expect("renamed");
    check_renamed(&home, &old, &new);
    let expected = Renamed {
        folder: new.state_dir.clone(),
        workspace: new.workspace.clone(),
        port: Some(20000),
        kept_by: vec![],
    };
    assert_eq!(renamed, expected);
    assert!(repair::run(&new.host, &home.ambient, "2").is_empty(), "nothing is left to do");
}

#[test]
fn one_that_is_cut_off_at_any_step_is_whole_after_a_repair() {
    for n_done in 0..=STEPS.len() {
        let (home, old, new) = home();
        let before = contents(&old.state_dir);
        let claims = places::lock(&old.host.claims(), "old", &old.state_dir).expect("free");
        let work = prepare(&old, &new, &home.ambient, "2").expect("nothing is in the way");
        for step in STEPS.iter().take(n_done) {
            step(&work).expect("done");
        }
        // As a kill leaves it: the lock's file goes with the folder, and nobody holds it.
        drop(claims);
        if n_done > 1 {
            file::remove(&new.state_dir.join("gateway.lock")).expect("removed");
            check_repaired(&home, &old, &new);
        } else {
            let repairs = repair::run(&old.host, &home.ambient, "2");
            let finished = repairs.iter().any(|it| matches!(it, Repair::Rename { .. }));
            assert_eq!(finished, n_done == 1, "{repairs:?}");
            assert_eq!(contents(&old.state_dir), before, "after {n_done} steps");
            assert!(!new.state_dir.exists());
            rename(&old, &new, &home.ambient, None, "2").expect("renamed at last");
            check_renamed(&home, &old, &new);
        }
    }
}

#[track_caller]
fn check_repaired(home: &Home, old: &Instance, new: &Instance) {
    repair::run(&old.host, &home.ambient, "2");
    check_renamed(home, old, new);
    let whole = contents(&new.state_dir);
    assert!(!finish(&new.state_dir).expect("nothing to do"));
    assert!(repair::run(&old.host, &home.ambient, "2").is_empty());
    assert_eq!(contents(&new.state_dir), whole);
}

#[test]
fn finishing_can_itself_be_cut_off_and_keeps_what_was_changed_meanwhile() {
    for n_done in 0..note::PARTS.len() {
        let (home, old, new) = home();
        let work = prepare(&old, &new, &home.ambient, "2").expect("nothing is in the way");
        for step in STEPS.iter().take(2) {
            step(&work).expect("done");
        }
        for part in note::PARTS.iter().take(n_done) {
            part(&work.note, &new.state_dir).expect("done");
        }
        let mut document = Document::load(&new.config_path).expect("it parses");
        document.set("other", &json!("by hand")).expect("set");
        document.save().expect("written");
        assert!(finish(&new.state_dir).expect("finished"));
        let text = Document::load(&new.config_path).expect("it parses").text().to_owned();
        assert!(text.contains("by hand") && !text.contains("-old"), "{text}");
        repair::run(&old.host, &home.ambient, "2");
        check_renamed(&home, &old, &new);
    }
}

#[test]
fn what_cannot_be_renamed_stays_as_it_is() {
    let (home, old, new) = home();
    let refused = |from: &Instance, to: &Instance, unit: Option<&Path>| {
        let before = contents(&home.path(""));
        let error = rename(from, to, &home.ambient, unit, "2").expect_err("refused");
        assert_eq!(contents(&home.path("")), before, "{error}");
        assert!(!error.remedy().is_empty());
        error
    };
    assert!(matches!(refused(&old, &home.instance("guard"), None), RenameError::Exists(_)));
    assert!(matches!(refused(&home.instance("none"), &new, None), RenameError::NoFolder(_)));
    let unit = home.path("openclaw-gateway-old.service");
    assert!(matches!(refused(&old, &new, Some(&unit)), RenameError::UnitInstalled(_)));
    home.write("data/acme/openclaw.json", "{}");
    let acme = Instance::of_folder(&home.ambient, &home.path("data/acme"));
    assert!(matches!(refused(&acme, &new, None), RenameError::ByFolder { .. }));
    home.write(".openclaw-old/workspace-new/x", "another agent's");
    assert!(matches!(refused(&old, &new, None), RenameError::WorkspaceTaken(_)));
    home.write(".openclaw-guard/openclaw.json", "{");
    assert!(matches!(refused(&home.instance("guard"), &new, None), RenameError::Config(_)));
    let mut claims = Claims::new(&old.host.claims(), "old", &old.state_dir);
    claims.take_folder().expect("free");
    let error = refused(&old, &new, None);
    assert!(error.to_string().contains("held by instance old (pid "), "{error}");
}

#[test]
fn the_default_instance_takes_its_port_with_it_and_a_rescuer_that_runs_is_told_of() {
    let home = Home::new();
    let main = home.with("default", "{}", profile::ports::DEFAULT_BASE);
    let guard = home.with("guard", "{}", 21000);
    home.write(".openclaw-guard/ledger.json", r#"{"rescueFor": "default"}"#);
    let mut claims = Claims::new(&guard.host.claims(), "guard", &guard.state_dir);
    claims.take_folder().expect("free");
    let new = home.instance("new");
    let renamed = rename(&main, &new, &home.ambient, None, "2").expect("renamed");
    assert_eq!(renamed.kept_by, ["guard"]);
    assert_eq!(ledger::read(&guard.state_dir).rescue_for.as_deref(), Some("default"));
    let document = Document::load(&new.config_path).expect("it parses");
    assert_eq!(document.port(), Some(profile::ports::DEFAULT_BASE));
    assert_eq!(home.names(".openclaw-new/workspace-new"), ["MEMORY.md"]);
    let back = rename(&new, &main, &home.ambient, None, "2").expect("renamed");
    assert_eq!(back.workspace, main.workspace);
    assert_eq!(home.names(".openclaw/workspace"), ["MEMORY.md"]);
}
