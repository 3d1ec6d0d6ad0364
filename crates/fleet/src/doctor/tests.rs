//! Each check: broken, found, and where it can be, put right.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use base::file;
use profile::registry::Record;
use profile::{generations, ledger};

use super::*;
use crate::places::fixture::{Home, contents};

const GOOD: &str = "{gateway: {port: 20000, auth: {token: 'a-long-token-of-main-only'}}}";

fn given() -> Given<'static> {
    Given {
        judge: &|_| Judged::default(),
        reach: &|_| Reached {
            model: "a/b".into(),
            source: "the test".into(),
            answer: Some(Err("it is off".into())),
        },
    }
}

fn examined(home: &Home, instance: &Instance, effort: Effort) -> Vec<Finding> {
    examine(&Scene::look(instance, &home.ambient, effort, given()))
}

/// What depends on who else uses this machine at the moment is left out.
const ELSEWHERE: [&str; 3] = ["records.host", "ports.stranger", "machine.disk"];

fn ids(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|it| it.id).filter(|it| !ELSEWHERE.contains(it)).collect()
}

fn healthy(home: &Home, name: &str, port: u16) -> Instance {
    let config = GOOD.replace("20000", &port.to_string()).replace("main", name);
    let it = home.with(name, &config, port);
    file::replace(&it.workspace.join("AGENTS.md"), b"# Hello").expect("written");
    it
}

#[track_caller]
fn check(break_it: impl Fn(&Home, &Instance), expected: &[&str]) {
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    let work = healthy(&home, "work", 20200);
    assert_eq!(ids(&examined(&home, &main, Effort::Look)), [""; 0], "before");
    break_it(&home, &main);
    let neighbour = contents(&work.state_dir);
    let found = examined(&home, &main, Effort::Look);
    assert_eq!(ids(&found), expected);
    for it in &found {
        assert!(!it.what.is_empty() && !it.place.is_empty() && !it.why.is_empty(), "{it:?}");
        assert!(!it.remedy_line().is_empty(), "no remedy: {it:?}");
    }
    let before = contents(&main.state_dir);
    let changes: Vec<&Change> = found.iter().filter_map(Finding::mendable).collect();
    let is_mendable = !changes.is_empty();
    assert_eq!(contents(&main.state_dir), before, "looking changed something");
    for it in changes {
        mend(&main, it).expect("mended");
    }
    if is_mendable {
        assert_eq!(ids(&examined(&home, &main, Effort::Look)), [""; 0], "after");
    }
    assert_eq!(contents(&work.state_dir), neighbour, "the neighbour was touched");
}

#[test]
fn the_table_names_each_check_once() {
    let mut names: Vec<&str> = ALL.iter().map(|it| it.id).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn what_others_may_read_is_found_and_closed() {
    check(
        |_, it| {
            let open = |path: &Path, mode| {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours")
            };
            open(&it.config_path, 0o644);
            file::replace(&it.state_dir.join(".env"), b"KEY=1").expect("written");
            open(&it.state_dir.join(".env"), 0o664);
            open(&it.state_dir, 0o755);
            // The person's own files are the person's affair.
            open(&it.workspace.join("AGENTS.md"), 0o666);
        },
        &["files.modes"],
    );
}

#[test]
fn a_link_is_not_followed_to_what_is_somebody_elses() {
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    let elsewhere = home.path("elsewhere");
    file::replace(&elsewhere, b"x").expect("written");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).expect("ours");
    std::os::unix::fs::symlink(&elsewhere, main.state_dir.join("link")).expect("linked");
    assert!(ids(&examined(&home, &main, Effort::Look)).is_empty());
    let change = Change::Modes(vec![(main.state_dir.join("link"), 0o600)]);
    assert!(mend(&main, &change).is_err());
    assert_eq!(fs::metadata(&elsewhere).expect("there").permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_socket_of_a_dead_gateway_is_removed_under_its_lock() {
    let leave =
        |_: &Home, it: &Instance| drop(UnixListener::bind(control::path(&it.state_dir)).expect("bound"));
    check(leave, &["files.socket"]);
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    leave(&home, &main);
    let mut claims = profile::Claims::new(&main.host.claims(), "main", &main.state_dir);
    claims.take_folder().expect("free");
    let socket = control::path(&main.state_dir);
    assert!(matches!(mend(&main, &Change::Socket(socket.clone())), Err(CannotMend::Held(_))));
    assert!(socket.exists());
}

#[test]
fn a_workspace_that_is_gone_is_made() {
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    fs::remove_file(main.workspace.join("AGENTS.md")).expect("removed");
    assert_eq!(ids(&examined(&home, &main, Effort::Look)), ["workspace.there"]);
    fs::remove_file(main.workspace.join("MEMORY.md")).expect("removed");
    fs::remove_dir(&main.workspace).expect("removed");
    let found = examined(&home, &main, Effort::Look);
    let it = found.iter().find(|it| it.id == "workspace.there").expect("a finding");
    assert_eq!(it.severity, Severity::Warn);
    mend(&main, it.mendable().expect("a change")).expect("mended");
    assert!(main.workspace.is_dir());
}

#[test]
fn a_config_that_does_not_parse_is_found_and_never_rewritten_unasked() {
    check(
        |_, it| {
            generations::accept(&it.state_dir, GOOD).expect("kept");
            file::replace(&it.config_path, b"{gateway: {port: 20000,, }").expect("written");
        },
        &["config.file"],
    );
}

#[test]
fn the_last_accepted_config_is_put_back_by_name_and_the_old_file_kept() {
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    assert!(matches!(restore_config(&main), Err(CannotMend::NoGeneration)));
    generations::accept(&main.state_dir, GOOD).expect("kept");
    let broken = "{ // mine\n gateway: {port: 20000,, }";
    file::replace(&main.config_path, broken.as_bytes()).expect("written");
    let restored = restore_config(&main).expect("put back");
    assert_eq!(fs::read_to_string(&main.config_path).expect("read"), GOOD);
    let kept = restored.kept.expect("kept");
    assert_eq!(fs::read_to_string(&kept).expect("read"), broken);
    assert_eq!(fs::metadata(&kept).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(restored.generation, 1);
}

#[test]
fn ports_logins_folders_and_tokens_of_neighbours_are_found() {
    let with = |text: &'static str| {
        move |home: &Home, it: &Instance| {
            file::replace(&it.config_path, text.as_bytes()).expect("written");
            let _ = home;
        }
    };
    check(with("{gateway: {port: 20202}}"), &["ports.overlap"]);
    check(with("{gateway: {port: 20205}}"), &["ports.spacing"]);
    check(
        with("{gateway: {port: 20000, auth: {token: 'a-long-token-of-work-only'}}}"),
        &["neighbours.logins"],
    );
    check(
        |home, it| {
            let path = home.path(".openclaw-work/workspace-work").display().to_string();
            let text = format!("{{gateway: {{port: 20000}}, agents: {{defaults: {{workspace: '{path}'}}}}}}");
            file::replace(&it.config_path, text.as_bytes()).expect("written");
        },
        &["neighbours.shared", "neighbours.shared"],
    );
}

#[test]
fn notes_that_point_to_nothing_and_refusals_are_found() {
    check(
        |_, it| ledger::note(&it.state_dir, |it| it.rescue_for = Some("gone".into())).expect("written"),
        &["past.rescue"],
    );
    check(
        |_, it| {
            let detail = "port 20000 is taken".to_owned();
            let refusal = ledger::Ended { at: 5, how: ledger::How::Refused, detail, pid: 7 };
            it.host.note_refusal(&it.state_dir, &refusal);
        },
        &["past.refused"],
    );
}

#[test]
fn a_gateway_that_is_started_again_and_again_is_found() {
    let crashed = |it: &Instance, starts: usize| {
        let now = base::clock::rfc3339(base::clock::now_ms());
        let line = format!("{now} [gateway] listening on ws://127.0.0.1:20000 (PID 7)\n");
        file::private_folder(&it.state_dir.join("logs")).expect("made");
        file::replace(&it.state_dir.join("logs/gateway.log"), line.repeat(starts).as_bytes())
            .expect("written");
        let ended = ledger::Ended { at: 5, how: ledger::How::CutOff, detail: "killed".into(), pid: 7 };
        ledger::note(&it.state_dir, |it| it.ended = Some(ended)).expect("written");
    };
    check(|_, it| crashed(it, 5), &["past.loop"]);
    check(|_, it| crashed(it, 4), &[]);
}

#[test]
fn a_service_whose_manager_cannot_be_reached_is_found() {
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    let units = home.path(".config/systemd/user");
    home.write(".config/systemd/user/default.target.wants/.keep", "");
    let unit = units.join("openclaw-gateway-main.service");
    file::replace(&unit, b"[Service]\nExecStart=openclaw --profile main gateway run\n").expect("written");
    let text = home.path("").display().to_string();
    let run = home.path("run").display().to_string();
    let ambient = profile::Ambient::of(
        &[("HOME", text.trim_end_matches('/')), ("XDG_RUNTIME_DIR", &run)],
        Path::new("/"),
    );
    let found = || {
        let scene = Scene::look(&main, &ambient, Effort::Look, given());
        examine(&scene).iter().filter(|it| it.id.starts_with("unit.")).map(|it| it.id).collect::<Vec<_>>()
    };
    assert!(found().is_empty(), "one that is not enabled needs no manager");
    let link = units.join("default.target.wants/openclaw-gateway-main.service");
    std::os::unix::fs::symlink(&unit, link).expect("linked");
    assert_eq!(found(), ["unit.linger"]);
    home.write("run/bus", "");
    assert!(found().is_empty());
}

#[test]
fn a_damaged_database_is_found() {
    check(
        |_, it| {
            file::replace(&it.state_dir.join(store::FILE), b"SQLite format 4 of nobody").expect("written")
        },
        &["database.sound"],
    );
}

#[test]
fn a_model_that_does_not_answer_is_found_by_those_who_ask() {
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    assert_eq!(ids(&examined(&home, &main, Effort::Deep)), ["model.reachable"]);
}

#[test]
fn an_instance_that_is_none_is_one_finding() {
    let home = Home::new();
    healthy(&home, "work", 20200);
    let nobody = home.instance("nobody");
    assert_eq!(ids(&examined(&home, &nobody, Effort::Look)), ["instance.there"]);
    assert!(!nobody.state_dir.exists());
}

#[test]
fn a_record_that_is_wrong_is_told_and_left_to_the_repair() {
    let home = Home::new();
    let main = healthy(&home, "main", 20000);
    let wrong = Record::of(&main, 20400, Vec::new(), "1");
    main.host.write(&wrong).expect("written");
    let found = examined(&home, &main, Effort::Look);
    let record = found.iter().find(|it| it.id == "records.host").expect("a finding");
    assert!(record.what.contains("20400") && record.mendable().is_none(), "{record:?}");
}
