//! Tools that a model asks for: what they do, what they may not do, and what becomes of a call that goes wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Script, ScriptedModel};

use crate::scene::{KEY, MAIN, Person, Scene, TOKEN, configure, line, said, text, until, write};
use crate::support::{sandbox, wait_gone};

/// Lets the model call one tool, and returns what came of it as it stands in the history. The model is shown the
/// same text.
#[track_caller]
pub(crate) fn use_tool(scene: &Scene, person: &mut Person, name: &str, arguments: Value) -> Value {
    scene.model.on("please", Script::new().call(name, arguments));
    let end = person.ask("main", "please");
    let messages = person.messages("main");
    let result = messages[messages.len() - 2].clone();
    assert_eq!((&result["role"], &result["toolName"]), (&json!("toolResult"), &json!(name)), "{messages:#?}");
    assert_eq!(said(&end), format!("final: tool said: {}", text(&result)));
    result
}

#[test]
fn files_are_written_read_and_edited_in_the_workspace() {
    let scene = Scene::new();
    let mut person = scene.person();
    let file = scene.workspace().join("notes/list.txt");
    let wrote =
        use_tool(&scene, &mut person, "write", json!({"path": "notes/list.txt", "content": "milk\neggs\n"}));
    assert_eq!(line(&wrote), "toolResult: wrote 10 bytes to notes/list.txt");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "milk\neggs\n");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let read = use_tool(&scene, &mut person, "read", json!({"path": "notes/list.txt"}));
    assert_eq!(line(&read), "toolResult: milk\neggs\n");
    let edit = json!({"path": "notes/list.txt", "oldText": "eggs", "newText": "bread"});
    let edited = use_tool(&scene, &mut person, "edit", edit.clone());
    assert_eq!(line(&edited), "toolResult: edited notes/list.txt at line 2");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "milk\nbread\n");
    let again = use_tool(&scene, &mut person, "edit", edit);
    assert!(
        line(&again).starts_with("toolResult[failed]:") && text(&again).contains("does not occur"),
        "{again}"
    );
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn a_command_runs_in_the_workspace_and_tells_how_it_ended() {
    let scene = Scene::new();
    let mut person = scene.person();
    let done = use_tool(&scene, &mut person, "exec", json!({"command": "pwd; echo oops >&2"}));
    assert_eq!(line(&done), format!("toolResult: {}\noops", scene.workspace().display()));
    assert_eq!((&done["details"]["exitCode"], &done["details"]["status"]), (&json!(0), &json!("completed")));
    let failed = use_tool(&scene, &mut person, "exec", json!({"command": "echo no; exit 3"}));
    assert_eq!(line(&failed), "toolResult[failed]: no\n(exit status: 3)");
    assert_eq!((&failed["details"]["exitCode"], &failed["details"]["status"]), (&json!(3), &json!("failed")));
}

#[test]
fn a_command_sees_nothing_of_the_gateways_secrets() {
    let mut world = sandbox();
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GITHUB_TOKEN", "OPENCLAW_GATEWAY_TOKEN", "OTHER"] {
        world = world.env(name, format!("secret-{name}"));
    }
    configure(&world, MAIN, "http://127.0.0.1:1/v1", |_| {});
    write(&world.state(Some(MAIN)).join(".env"), "SERPER_API_KEY=secret-of-the-file\n");
    let scene = Scene::of(world, ScriptedModel::start().key(KEY), |_| {});
    let mut person = scene.person();
    let command = "env; tr '\\0' '\\n' < /proc/$$/environ";
    let env = text(&use_tool(&scene, &mut person, "exec", json!({"command": command})));
    assert!(env.contains("PATH=") && env.contains("HOME="), "{env}");
    // The mark that keeps a command of ours from taking any instance for granted, and nothing else of ours.
    assert!(env.contains("OPENCLAW_TOOL_OF=main"), "{env}");
    let host = format!("OPENCLAW_HOST_DIR={}", scene.sandbox.host().display());
    assert!(env.contains(&host), "a command of ours must meet the same claims: {env}");
    // By which a restart that the command asks for knows whom to tell.
    let session = "OPENCLAW_TOOL_SESSION=agent:main:main";
    assert!(env.contains(session), "{env}");
    let env = env.replace("OPENCLAW_TOOL_OF=main", "").replace(&host, "").replace(session, "");
    for secret in ["secret-", "OPENCLAW_", "API_KEY", TOKEN, KEY] {
        assert!(!env.contains(secret), "{secret} is in {env}");
    }
}

#[test]
fn no_path_leads_out_of_the_workspace() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.ask("main", "make the workspace");
    let outside = scene.sandbox.home().join("secret.txt");
    write(&outside, "the secret");
    let link = scene.workspace().join("link.txt");
    symlink(&outside, &link).expect("a new link");
    symlink(scene.sandbox.home(), scene.workspace().join("up")).expect("a new link");
    let absolute = outside.display().to_string();
    for path in ["../../secret.txt", "link.txt", "up/secret.txt", &absolute, "../openclaw.json"] {
        for (tool, arguments) in [
            ("read", json!({"path": path})),
            ("write", json!({"path": path, "content": "changed"})),
            ("edit", json!({"path": path, "oldText": "secret", "newText": "changed"})),
        ] {
            let result = use_tool(&scene, &mut person, tool, arguments);
            assert!(line(&result).starts_with("toolResult[failed]: cannot "), "{tool} {path}: {result}");
            assert!(!text(&result).contains("the secret") && !text(&result).contains(TOKEN), "{result}");
        }
    }
    assert_eq!(fs::read_to_string(&outside).expect("it is there"), "the secret");
    assert!(fs::read_to_string(scene.state().join("openclaw.json")).expect("there").contains(TOKEN));
    let absolute = scene.workspace().join("SOUL.md").display().to_string();
    let inside = use_tool(&scene, &mut person, "read", json!({"path": absolute}));
    assert!(line(&inside).starts_with("toolResult: # Character"), "{inside}");
}

#[test]
fn a_command_that_takes_too_long_is_ended() {
    let scene = Scene::new();
    let mut person = scene.person();
    let command = "echo begun; echo $$ > pid; sleep 600";
    let result = use_tool(&scene, &mut person, "exec", json!({"command": command, "timeout": 1}));
    assert_eq!(line(&result), "toolResult[failed]: begun\n(stopped after its time limit of 1 s)");
    assert_eq!(result["details"]["status"], "timeout");
    wait_gone(pid_in(&scene.workspace().join("pid")));
}

#[test]
fn a_flood_of_output_is_cut_in_the_middle() {
    let scene = Scene::new();
    let mut person = scene.person();
    let command = "echo first; yes | head -c 5000000; echo last";
    let output = text(&use_tool(&scene, &mut person, "exec", json!({"command": command})));
    assert!(output.len() < 40_000, "{} bytes", output.len());
    assert!(output.starts_with("first\n") && output.ends_with("last"), "{}", output.len());
    assert!(output.contains("bytes left out"), "{}", output.len());
    person.check_goes_on("main");
}

#[test]
fn only_those_who_asked_for_tool_events_get_them() {
    let scene = Scene::new();
    scene.model.on("please", Script::new().call("exec", json!({"command": "echo hi"})));
    let mut with = scene.person();
    let mut without = scene.person_with(|it| it["caps"] = json!([]));
    let run = with.say("main", "please");
    let steps = |person: &mut Person| {
        let events = person.watch(&run).into_iter().map(|it| it["payload"].clone());
        events.filter(|it| it["stream"] == "tool").map(|it| it["data"].clone()).collect::<Vec<_>>()
    };
    let tools = steps(&mut with);
    assert_eq!(tools.len(), 2, "{tools:?}");
    let id = &tools[0]["toolCallId"];
    let start = json!({"phase": "start", "name": "exec", "toolCallId": id, "args": {"command": "echo hi"}});
    assert_eq!(tools[0], start);
    let end = &tools[1];
    assert_eq!((&end["phase"], &end["toolCallId"], &end["isError"]), (&json!("result"), id, &json!(false)));
    assert_eq!(end["result"]["content"], json!([{"type": "text", "text": "hi"}]));
    assert_eq!(end["result"]["details"]["exitCode"], 0);
    assert_eq!(steps(&mut without), [json!(null); 0]);
}

#[test]
fn a_tool_that_is_stopped_in_the_middle_is_gone_with_all_that_it_started() {
    let scene = Scene::new();
    let command = "echo $$ > pid; sleep 600 & echo $! > child; wait";
    scene.model.on("please", Script::new().text("Wait.").call("exec", json!({"command": command})));
    let mut person = scene.person();
    let run = person.say("main", "please");
    let files = ["pid", "child"].map(|it| scene.workspace().join(it));
    let pids = files.map(|it| pid_in(&it));
    let asked = Instant::now();
    let reply = person.wire.request("chat.abort", json!({"sessionKey": "main", "runId": run}));
    assert_eq!(reply, Ok(json!({"ok": true, "aborted": true, "runIds": [run]})));
    let end = person.hear(&run);
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("rpc")));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    pids.into_iter().for_each(wait_gone);
    let expected = [
        "user: please",
        "assistant[toolUse]: (exec) Wait.",
        "toolResult[failed]: stopped before it had ended",
    ];
    assert_eq!(person.history("main"), expected);
    // The model refuses a conversation in which a call is not answered.
    person.check_goes_on("main");
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn a_call_that_makes_no_sense_is_told_to_the_model_and_the_turn_goes_on() {
    let scene = Scene::new();
    let mut person = scene.person();
    let mut check = |call: Script, part: &str| {
        scene.model.on("please", call);
        let end = person.ask("main", "please");
        let history = person.history("main");
        let result = &history[history.len() - 2];
        assert!(result.starts_with("toolResult[failed]:") && result.contains(part), "{result}");
        assert!(said(&end).starts_with("final: tool said: ") && said(&end).contains(part), "{end}");
    };
    check(Script::new().call("launch", json!({})), "there is no tool \"launch\"; there are: read, write");
    check(Script::new().call_raw("exec", "{\"command\": "), "the arguments are no valid JSON");
    check(Script::new().call_raw("exec", "[1]"), "the arguments must be one JSON object");
    check(Script::new().call("exec", json!({"cmd": "ls"})), "missing field `command`");
    let two = Script::new().call_raw("exec", "{").call("exec", json!({"command": "nowhere-to-be-found"}));
    check(two, "not found");
    person.check_goes_on("main");
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn a_denied_tool_is_neither_offered_nor_run() {
    let scene = Scene::with(|it| it["tools"] = json!({"deny": ["exec"]}));
    let mut person = scene.person();
    let result = use_tool(&scene, &mut person, "exec", json!({"command": "echo run > proof"}));
    assert_eq!(line(&result), "toolResult[failed]: there is no tool \"exec\"; there are: read, write, edit");
    assert!(!scene.workspace().join("proof").exists());
    for request in scene.model.requests() {
        let tools = request.body["tools"].as_array().expect("tools").iter();
        let names: Vec<_> = tools.map(|it| it["function"]["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ["read", "write", "edit"]);
    }
}

/// The number that a command wrote into a file, as soon as it has.
#[track_caller]
fn pid_in(file: &Path) -> u32 {
    until("no command wrote its number", || fs::read_to_string(file).ok()?.trim().parse().ok())
}
