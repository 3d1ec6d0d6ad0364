//! Where things go: another name, another config, workspaces, and what a killed restore leaves.

use std::fs;

use base::file;
use serde_json::json;

use super::super::{SnapshotError, restore};
use super::Scene;

#[test]
fn under_another_name_paths_lead_there_and_the_token_is_fresh() {
    let scene = Scene::new();
    scene.take("a.tar.gz", None).expect("taken");
    let before = scene.tree(".openclaw-work");
    let target = super::Target { port: Some(19021), ..scene.target("copy") };
    let restored = restore(&scene.at("a.tar.gz"), &target, None, &mut |_| {}).expect("restored");
    assert_eq!(scene.tree(".openclaw-work"), before);
    assert!(restored.has_fresh_token && !restored.is_replacement);
    let agent = "agents/main/agent/auth-profiles.json";
    assert_eq!(restored.missing, ["channels.telegram.botToken", ".env", agent, "credentials/"]);
    let expected = json!({
        "gateway": {"port": 19021, "auth": {"mode": "token", "token": "fresh"}},
        "agents": {"defaults": {"workspace": "~/.openclaw-copy/workspace-work"},
                   "list": [{"id": "desk", "workspace": "~/.openclaw-copy/workspace-restored-0"}]},
        "channels": {"telegram": {}},
    });
    assert_eq!(scene.config("copy"), expected);
    assert_eq!(scene.read(".openclaw-copy/workspace-restored-0/plan.md"), "a plan");
    assert_eq!(scene.read(".openclaw-copy/workspace-work/latest"), "a note");
    assert_eq!(restored.workspaces[0].is, scene.at(".openclaw-copy/workspace-restored-0"));
    assert_eq!(scene.sessions("copy"), 1);
    assert!(!scene.at(".openclaw-copy/gateway.lock").exists());
}

#[test]
fn a_workspace_that_no_config_names_gets_the_name_that_is_looked_for() {
    let scene = Scene::new();
    let config = b"{ agents: { list: [{ id: 'a', workspace: '~/.openclaw-work/workspace-work/sub' }] } }";
    scene.write(".openclaw-work/openclaw.json", config);
    scene.take("a.tar.gz", None).expect("taken");
    scene.restore("a.tar.gz", "copy", None).expect("restored");
    assert_eq!(scene.read(".openclaw-copy/workspace-copy/notes/a.md"), "a note");
    assert!(!scene.at(".openclaw-copy/workspace-work").exists());
    let workspace = &scene.config("copy")["agents"]["list"][0]["workspace"];
    assert_eq!(workspace, "~/.openclaw-copy/workspace-copy/sub");
}

#[test]
fn a_config_elsewhere_is_taken_from_there_and_not_restored_to_there() {
    let scene = Scene::new();
    scene.write("etc/main.json", b"{ gateway: { auth: { token: 'hunter-else' } }, here: 1 }");
    let mut instance = scene.instance("work");
    instance.config_path = scene.at("etc/main.json");
    let ambient = scene.ambient();
    let source = super::Source { instance: &instance, ambient: &ambient, version: "1" };
    super::take(&source, &scene.at("a.tar.gz"), None, &mut |_| {}).expect("taken");
    scene.restore("a.tar.gz", "copy", None).expect("restored");
    assert_eq!(scene.config("copy"), json!({"gateway": {"auth": {"token": "fresh"}}, "here": 1}));
    let target = super::Target { instance, ..scene.target("work") };
    let refused = restore(&scene.at("a.tar.gz"), &target, None, &mut |_| {}).expect_err("outside");
    assert!(matches!(refused, SnapshotError::ConfigElsewhere { .. }), "{refused}");
}

#[test]
fn a_folder_of_something_else_and_the_snapshot_itself_are_safe() {
    let scene = Scene::new();
    scene.take("a.tar.gz", None).expect("taken");
    scene.write(".openclaw-photos/cat.jpg", b"meow");
    let bytes = fs::read(scene.at("a.tar.gz")).expect("read");
    scene.write(".openclaw-work/a.tar.gz", &bytes);
    let before = scene.tree("");
    let refused = scene.restore("a.tar.gz", "photos", None).expect_err("photos");
    assert!(matches!(refused, SnapshotError::Folder(_)), "{refused}");
    let refused = scene.restore(".openclaw-work/a.tar.gz", "work", None).expect_err("it would go");
    assert!(matches!(refused, SnapshotError::Inside { .. }), "{refused}");
    assert_eq!(scene.tree(""), before);
}

#[test]
fn a_state_folder_behind_a_link_is_replaced_where_it_is() {
    let scene = Scene::new();
    scene.take("a.tar.gz", None).expect("taken");
    file::private_folder(&scene.at("disk")).expect("made");
    file::move_new(&scene.at(".openclaw-work"), &scene.at("disk/work")).expect("moved");
    scene.link("disk/work", ".openclaw-work");
    scene.write("disk/work/later", b"later");
    scene.restore("a.tar.gz", "work", None).expect("restored");
    assert!(scene.at(".openclaw-work").is_symlink() && !scene.at("disk/work/later").exists());
    assert_eq!(scene.read("disk/work/skills/x/SKILL.md"), "# a skill");
    assert_eq!(fs::read_dir(scene.at("disk")).expect("list").count(), 1);
}

#[test]
fn a_home_as_workspace_stays_out() {
    let scene = Scene::new();
    scene.write(".openclaw-work/openclaw.json", b"{ agents: { defaults: { workspace: '~' } } }");
    let taken = scene.take("a.tar.gz", None).expect("taken");
    assert!(taken.about.outside.is_empty());
    let left = taken.left_out.iter().find(|it| it.path == scene.home.path()).expect("told");
    assert!(left.reason.contains("a home"), "{left:?}");
}
