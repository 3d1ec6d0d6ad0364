//! Gateways that are killed, and gateways that are asked to stop: what was said stays, and nothing is there twice.

use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use testkit::{Output, Script};

use crate::scene::{Person, Scene, is_end, line, said, text, until};
use crate::support::wait_gone;

/// How the line begins that tells of a gateway that ended.
const ENDED: &str = "assistant[error]: The gateway ended ";

#[test]
fn a_kill_in_the_middle_of_an_answer_is_told_once_and_the_conversation_goes_on() {
    let mut scene = Scene::new();
    scene.model.on("story", Script::new().text("once upon").wait("never"));
    let mut person = scene.person();
    person.check_goes_on("main");
    let run = person.say("main", "story");
    person.wait_said(&run, "once upon");
    scene.gateway.kill();
    // The second start finds nothing that is unfinished.
    for _ in 0..2 {
        scene.restart();
        let messages = scene.person().messages("main");
        let lines: Vec<String> = messages.iter().map(line).collect();
        assert_eq!(lines[..3], ["user: are you there?", "assistant: echo: are you there?", "user: story"]);
        assert!(lines[3].starts_with(&format!("{ENDED}in the middle of this answer.")), "{lines:?}");
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(messages[3]["errorMessage"], text(&messages[3]));
        assert_eq!(messages[3]["__openclaw"]["runId"], run);
        assert!(scene.gateway.is_running());
        scene.gateway.kill();
    }
    scene.restart();
    let mut person = scene.person();
    let waited = person.wire.request("agent.wait", json!({"runId": run})).expect("a reply");
    assert_eq!(waited["status"], "error");
    assert!(waited["error"].as_str().is_some_and(|it| it.contains("interrupted")), "{waited}");
    assert_eq!(scene.model.requests().len(), 2, "the turn was run again");
    person.check_goes_on("main");
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn a_kill_in_the_middle_of_a_tool_leaves_a_conversation_that_goes_on() {
    let mut scene = Scene::new();
    let call = Script::new().text("Wait.").call("exec", json!({"command": "echo $$ > pid; sleep 600"}));
    scene.model.on("work", call);
    let mut person = scene.person();
    person.say("main", "work");
    let file = scene.workspace().join("pid");
    let pid: i32 = until("no command began", || std::fs::read_to_string(&file).ok()?.trim().parse().ok());
    scene.gateway.kill();
    // Nobody is left who could end it.
    let group = Pid::from_raw(pid).expect("a process id");
    kill_process_group(group, Signal::KILL).expect("it runs on by itself");
    scene.restart();
    let mut person = scene.person();
    let history = person.history("main");
    assert_eq!(history[..2], ["user: work", "assistant[toolUse]: (exec) Wait."]);
    assert!(history[2].starts_with(ENDED) && history.len() == 3, "{history:?}");
    person.check_goes_on("main");
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn a_message_that_was_acknowledged_survives_a_kill() {
    let mut scene = Scene::new();
    scene.model.on("remember", Script::new().wait("never"));
    let mut person = scene.person();
    // The second waits for the first, and has not begun.
    let runs = [person.say("main", "remember one"), person.say("main", "remember two")];
    scene.gateway.kill();
    scene.restart();
    let mut person = scene.person();
    let history = person.history("main");
    assert_eq!((history[0].as_str(), history[2].as_str()), ("user: remember one", "user: remember two"));
    assert!(history[1].starts_with(ENDED) && history[3].starts_with(ENDED), "{history:?}");
    assert!(history[3].contains("before this message was answered"), "{history:?}");
    assert_eq!(history.len(), 4, "{history:?}");
    // The same keys again are the same messages.
    for run in runs {
        let params = json!({"sessionKey": "main", "message": "remember one", "idempotencyKey": run});
        assert_eq!(person.wire.request("chat.send", params).expect("known")["status"], "ok");
    }
    assert_eq!(person.history("main").len(), 4);
    person.check_goes_on("main");
}

#[test]
fn twenty_kills_lose_nothing_and_double_nothing() {
    const ROUNDS: usize = 20;
    let mut scene = Scene::new();
    let call = || Script::new().text("Let me see.").call("exec", json!({"command": "echo seen"}));
    for round in 0..ROUNDS {
        scene
            .model
            .on(&format!("round {round:02}"), call().then(Script::new().text(format!("answer {round:02}"))));
    }
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        let mut person = scene.person();
        let message = format!("round {round:02}");
        let run = person.say("main", &message);
        asked.push(format!("user: {message}"));
        // The place of the kill in the turn is the number of events that are seen before it.
        for _ in 0..round {
            if is_end(&person.wire.next_event(|_| true), &run) {
                break;
            }
        }
        scene.gateway.kill();
        scene.restart();
        let history = scene.person().history("main");
        let users: Vec<_> = history.iter().filter(|it| it.starts_with("user:")).cloned().collect();
        assert_eq!(users, asked);
        check_turn(&history[history.iter().rposition(|it| it.starts_with("user:")).expect("there")..]);
    }
    let mut person = scene.person();
    let history = person.history("main");
    let answers: Vec<_> = history.iter().filter(|it| it.starts_with("assistant: answer")).collect();
    assert!(answers.is_sorted() && answers.windows(2).all(|it| it[0] != it[1]), "{answers:?}");
    person.check_goes_on("main");
    assert_eq!(scene.model.refusals(), [""; 0]);
}

/// A turn is whole, or it ends where it was, with a word about it.
#[track_caller]
fn check_turn(lines: &[String]) {
    let round = lines[0].trim_start_matches("user: round ");
    let answer = format!("assistant: answer {round}");
    let whole = ["assistant[toolUse]: (exec) Let me see.".to_owned(), "toolResult: seen".to_owned(), answer];
    let (last, before) = lines[1..].split_last().expect("an answer, or a word about it");
    if lines[1..] != whole {
        assert!(last.starts_with(ENDED) && whole[..2].starts_with(before), "{lines:?}");
    }
}

#[test]
fn a_stop_tells_everybody_and_keeps_what_was_said() {
    let mut scene = Scene::new();
    scene.model.on("story", Script::new().text("once upon").wait("never"));
    let mut person = scene.person();
    let run = person.say("main", "story");
    let second = person.say("main", "and then?");
    person.wait_said(&run, "once upon");
    let cli = scene.command(&["agent", "-m", "story", "--session-id", "cli"]);
    thread::scope(|scope| {
        let cli = scope.spawn(|| Output::of(cli).code(75));
        scene.model.wait_requests(2);
        let stopped = scope.spawn(|| scene.gateway.stop());
        let end = person.hear(&run);
        assert_eq!((said(&end).as_str(), &end["stopReason"]), ("aborted: once upon", &json!("shutdown")));
        assert_eq!(said(&person.hear(&second)), "aborted: ");
        let shutdown = person.wire.next_event(|it| it["event"] == "shutdown");
        assert_eq!(shutdown["payload"], json!({"reason": "stopped", "restartExpectedMs": null}));
        let close = person.wire.closed();
        assert_eq!((close.code, close.reason.as_str()), (1012, "service restart"));
        assert_eq!(stopped.join().expect("it ends"), 0);
        let output = cli.join().expect("it ends");
        assert!(
            output.stderr.contains("instance main: the gateway stopped in the middle of the turn"),
            "{output}"
        );
    });
    scene.model.wait_disconnect();
    scene.restart();
    let mut person = scene.person();
    let expected = ["user: story", "assistant[aborted]: once upon", "user: and then?"];
    assert_eq!(person.history("main"), expected);
    person.check_goes_on("main");
}

#[test]
fn a_stop_in_the_middle_of_a_tool_ends_it() {
    let mut scene = Scene::new();
    let call = Script::new().text("Wait.").call("exec", json!({"command": "echo $$ > pid; sleep 600"}));
    scene.model.on("work", call);
    scene.person().say("main", "work");
    let file = scene.workspace().join("pid");
    let pid = until("no command began", || std::fs::read_to_string(&file).ok()?.trim().parse().ok());
    assert_eq!(scene.gateway.stop(), 0);
    wait_gone(pid);
    scene.restart();
    let mut person: Person = scene.person();
    let stopped = "toolResult[failed]: stopped before it had ended";
    assert_eq!(person.history("main"), ["user: work", "assistant[toolUse]: (exec) Wait.", stopped]);
    person.check_goes_on("main");
    assert_eq!(scene.model.refusals(), [""; 0]);
}
