//! A disk that is full: the person is told, nothing that was said is lost, and all is well once there is room.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Base, Gateway, Sandbox, Script, ScriptedModel, Wire, free_base};

use crate::scene::{KEY, MAIN, Person, TOKEN, configure, new_run, said, write};
use crate::support::sandbox;

/// A gateway whose state folder is a disk of its own, of 2 MiB.
struct Small {
    gateway: Gateway,
    model: ScriptedModel,
    sandbox: Sandbox,
    _base: Base,
}

impl Small {
    fn start() -> Small {
        let (sandbox, model, base) = (sandbox(), ScriptedModel::start().key(KEY), free_base());
        configure(&sandbox, MAIN, &model.base_url(), |_| {});
        let state = sandbox.state(Some(MAIN));
        let config = sandbox.path().join("config");
        write(&config, &fs::read_to_string(state.join("openclaw.json")).expect("it was just written"));
        let inner =
            sandbox.command(&["--profile", MAIN, "gateway", "run", "--port", &base.port().to_string()]);
        let gateway = Gateway::start(on_a_disk_of_its_own(&inner, &state, &config), base.port());
        Small { gateway, model, sandbox, _base: base }
    }

    fn person(&self) -> Person {
        Person { wire: Wire::connect(self.gateway.port(), TOKEN) }
    }

    /// What fills the disk, as it is seen from outside of the gateway's own mounts.
    fn filler(&self) -> PathBuf {
        let state = self.sandbox.state(Some(MAIN));
        let inside = state.strip_prefix("/").expect("an absolute path").join("filler");
        Path::new("/proc").join(self.gateway.pid().to_string()).join("root").join(inside)
    }

    fn fill(&self) {
        let mut filler = OpenOptions::new().create_new(true).append(true).open(self.filler()).expect("new");
        // A page at a time: until not even that is left.
        let full = loop {
            if let Err(error) = filler.write_all(&[b'x'; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("it was written");
    }
}

/// A command that is `inner`, with a small disk in the place of `state`, which holds the config. It keeps its process.
fn on_a_disk_of_its_own(inner: &Command, state: &Path, config: &Path) -> Command {
    let script = "mount -t tmpfs -o size=2m,mode=700 small \"$0\" && cp -p \"$1\" \"$0/openclaw.json\" && shift && \
                  exec \"$@\"";
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new("unshare");
    command.arg(if is_root { "-m" } else { "-rm" }).args(["sh", "-c", script]);
    command.arg(state).arg(config).arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(inner.get_current_dir().expect("the sandbox names one"));
    command
}

#[track_caller]
fn check_words(words: &Value, parts: &[&str]) {
    let words = words.as_str().expect("words");
    for part in parts.iter().chain(&["no room is left on the disk of", "gateway.sqlite", "instance main"]) {
        assert!(words.contains(part), "{part:?} is missing in {words:?}");
    }
}

/// Whether `health` says that all is well; otherwise it must say what is not.
#[track_caller]
fn is_well(person: &mut Person) -> bool {
    let health = person.wire.request("health", json!({"probe": true})).expect("a health");
    if health["ok"] != true {
        check_words(&health["problems"][0], &[]);
    }
    health["ok"] == true
}

#[test]
fn an_answer_that_finds_no_room_is_told_and_saved_once_there_is() {
    let small = Small::start();
    small.model.on("story", Script::new().text("once upon").wait("gate").text(" a time"));
    let mut person = small.person();
    person.check_goes_on("main");
    let run = person.say("main", "story");
    person.wait_said(&run, "once upon");
    small.fill();
    small.model.open("gate");
    let end = person.hear(&run);
    assert_eq!(said(&end), "error: once upon a time");
    check_words(&end["errorMessage"], &["the answer was not saved"]);
    let health = person.wire.request("health", json!({})).expect("a health");
    assert_eq!(health["ok"], false, "{health}");
    assert!(!is_well(&mut person), "looking again does not make room");

    // Nothing is accepted that could be lost.
    let params = json!({"sessionKey": "main", "message": "hello", "idempotencyKey": new_run()});
    let refused = person.wire.request("chat.send", params).expect_err("there is no room");
    assert_eq!(refused["code"], "UNAVAILABLE");
    check_words(&refused["message"], &["the message was not accepted"]);
    assert_eq!(small.model.requests().len(), 2);

    small.make_room();
    person.check_goes_on("main");
    let expected = [
        "user: are you there?",
        "assistant: echo: are you there?",
        "user: story",
        "assistant: once upon a time",
        "user: are you there?",
        "assistant: echo: are you there?",
    ];
    assert_eq!(person.history("main"), expected);
    assert!(is_well(&mut person));
    assert_eq!(small.model.refusals(), [""; 0]);
}

#[test]
fn a_turn_that_finds_no_room_in_its_middle_goes_no_further() {
    let small = Small::start();
    let call =
        Script::new().text("Looking.").wait("gate").call("exec", json!({"command": "echo ran > proof"}));
    small.model.on("look", call);
    let mut person = small.person();
    person.check_goes_on("main");
    let run = person.say("main", "look");
    person.wait_said(&run, "Looking.");
    small.fill();
    small.model.open("gate");
    let end = person.hear(&run);
    assert_eq!(end["state"], "error", "{end}");
    check_words(&end["errorMessage"], &["the turn was not saved"]);
    small.make_room();
    // As soon as somebody looks.
    assert!(is_well(&mut person));
    let history = person.history("main");
    assert_eq!(
        history[2..5],
        [
            "user: look",
            "assistant[toolUse]: (exec) Looking.",
            "toolResult[failed]: stopped before it had ended"
        ]
    );
    assert!(history[5].starts_with("assistant[error]: the turn was not saved"), "{history:?}");
    assert_eq!(history.len(), 6);
    person.check_goes_on("main");
    // The run has ended on disk as well, and is not found unfinished at the next start.
    let params = json!({"sessionKey": "main", "message": "look", "idempotencyKey": run});
    assert_eq!(person.wire.request("chat.send", params), Ok(json!({"runId": run, "status": "ok"})));
    assert_eq!(small.model.refusals(), [""; 0]);
}
