//! A command of ours that a tool of an instance runs: it acts on an instance that it names, and on no other.

use serde_json::{Value, json};
use testkit::{free_base, tree};

use crate::scene::{Scene, configure, text};
use crate::support::text as path;
use crate::tools::use_tool;

/// A turn of `main` runs the command, and tells what came of it.
#[track_caller]
fn run(scene: &Scene, command: &str) -> Value {
    let mut person = scene.person();
    use_tool(scene, &mut person, "exec", json!({"command": command}))
}

/// The binary by its own path, as it need not be on the tool's.
fn openclaw(scene: &Scene) -> String {
    format!("'{}'", path(scene.sandbox.command(&[]).get_program().as_ref()))
}

#[test]
fn without_a_name_it_is_refused_and_touches_no_instance() {
    let scene = Scene::new();
    let ours = openclaw(&scene);
    let home = || {
        let mut tree = tree::hash(&scene.sandbox.home());
        // The turn itself is written down, and so is its log.
        tree.retain(|path, _| !path.starts_with(".openclaw-main"));
        tree
    };
    let before = home();
    for words in
        ["status", "health", "gateway status", "gateway run --port 1", "setup", "agent --message hello"]
    {
        let result = run(&scene, &format!("{ours} {words}"));
        let said = text(&result);
        assert_eq!(result["details"]["exitCode"], 64, "{words}: {said}");
        let wanted = ["started by a tool of instance main, and names no instance", "--profile main"];
        assert!(wanted.iter().all(|it| said.contains(it)), "{words}: {said}");
        assert_eq!(home(), before, "{words} made something");
    }
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn with_a_name_it_acts_on_that_instance() {
    let scene = Scene::new();
    let ours = openclaw(&scene);
    let base = free_base();
    configure(&scene.sandbox, "b", "http://127.0.0.1:1/v1", |_| {});
    let b = scene.sandbox.start(&["--profile", "b"], base.port());
    let state = scene.sandbox.state(Some("b"));
    for (command, gateway, name) in [
        (format!("{ours} --profile b status --json"), &b, "b"),
        (format!("OPENCLAW_PROFILE=b {ours} status --json"), &b, "b"),
        (format!("OPENCLAW_STATE_DIR='{}' {ours} status --json", state.display()), &b, "b"),
        (format!("{ours} --profile main status --json"), &scene.gateway, "main"),
    ] {
        let said = text(&run(&scene, &command));
        let status: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(status["instance"]["name"], name, "{command}");
        assert_eq!(status["instance"]["pid"], gateway.pid(), "{command}");
    }
    assert_eq!(scene.model.refusals(), [""; 0]);
}
