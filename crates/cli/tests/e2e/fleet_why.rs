//! `fleet why`: how an instance ended, why it did not start, what its config says otherwise, what went wrong last.

use std::fs;

use serde_json::{Value, json};

use crate::fleet_scene::Fleet;
use crate::scene::write;
use crate::support::text;

#[track_caller]
fn why(fleet: &Fleet, name: &str) -> Value {
    fleet.run(&["why", name, "--json"]).success().json()
}

/// What a person is told, the spaces between the words made one.
#[track_caller]
fn told(fleet: &Fleet, name: &str) -> String {
    let said = fleet.run(&["why", name]).success().stdout;
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_end(end: &Value, how: &str, pid: u32, detail: &str) {
    assert_eq!((&end["how"], &end["pid"]), (&json!(how), &json!(pid)), "{end}");
    assert!(end["detail"].as_str().is_some_and(|it| it.contains(detail)), "{detail:?} in {end}");
    assert!(end["at"].is_u64(), "{end}");
}

#[test]
fn one_that_nobody_started_has_no_past() {
    let fleet = Fleet::of(&["a"]);
    let found = why(&fleet, "a");
    let nothing = [&found["ended"], &found["refused"], &found["config"]["generation"]];
    assert_eq!(nothing, [&Value::Null; 3], "{found:#}");
    assert_eq!((&found["seen"]["state"], &found["errors"]), (&json!("stopped"), &json!([])), "{found:#}");
    let said = told(&fleet, "a");
    assert!(said.contains("Last end none is known") && said.contains("no generation was accepted"), "{said}");
}

#[test]
fn the_last_end_is_told_with_its_signal_or_as_a_cut() {
    let fleet = Fleet::of(&["a", "b"]);
    let mut gateway = fleet.start("a");
    let first = gateway.pid();
    assert_eq!(gateway.stop(), 0);
    check_end(&why(&fleet, "a")["ended"], "stopped", first, "SIGTERM");
    let said = told(&fleet, "a");
    assert!(
        said.contains("Last end stopped in order at 20") && said.contains(&format!("(pid {first}): SIGTERM"))
    );

    let mut gateway = fleet.start("a");
    let second = gateway.pid();
    gateway.kill();
    let third = fleet.start("a");
    let found = why(&fleet, "a");
    check_end(&found["ended"], "cutOff", second, "killed");
    assert_eq!((&found["seen"]["pid"], &found["seen"]["state"]), (&json!(third.pid()), &json!("ready")));
    let said = told(&fleet, "a");
    assert!(said.contains(&format!("ready, pid {}, up ", third.pid())), "{said}");
    assert!(said.contains("Last end cut off at 20") && said.contains(&format!("(pid {second})")), "{said}");
    assert_eq!(why(&fleet, "b")["ended"], Value::Null, "the end of another instance");
}

#[test]
fn a_refused_start_is_told_with_its_reason() {
    let fleet = Fleet::of(&["a", "b"]);
    fleet.run_once("a");
    let ended = why(&fleet, "a")["ended"].clone();
    // One that was accepted before would run in the place of what is wrong.
    fs::remove_dir_all(fleet.state("a").join("generations")).expect("there");

    fleet.configure("a", |it| it["gateway"]["port"] = json!("many"));
    let _ = fleet.ask("a", &["gateway", "run"]).code(78);
    let found = why(&fleet, "a");
    assert_eq!(found["refused"]["how"], "refused", "{found:#}");
    let detail = found["refused"]["detail"].as_str().expect("a reason");
    assert!(detail.contains("gateway.port") && detail.contains(text(&fleet.config("a"))), "{detail}");
    assert_eq!(found["ended"], ended, "a refusal is no end of a gateway");
    let said = told(&fleet, "a");
    assert!(said.contains("Last refusal refused to start at 20") && said.contains("gateway.port"), "{said}");

    write(&fleet.config("a"), "{ gateway: ");
    let _ = fleet.ask("a", &["gateway", "run"]).code(78);
    let found = why(&fleet, "a");
    for told in [&found["refused"]["detail"], &found["config"]["problem"]] {
        assert!(told.as_str().is_some_and(|it| it.contains("does not parse: line 1")), "{found:#}");
    }

    // What somebody else holds is a reason as well.
    let b = fleet.start("b");
    fleet.configure("a", |it| it["gateway"]["port"] = json!(fleet.port("b")));
    let _ = fleet.ask("a", &["gateway", "run"]).code(69);
    let detail = why(&fleet, "a")["refused"]["detail"].clone();
    let holder = format!("is held by instance b (pid {}, ", b.pid());
    assert!(detail.as_str().is_some_and(|it| it.contains(&holder)), "{detail}");
}

#[test]
fn a_config_that_was_changed_is_told_key_by_key_and_without_its_secrets() {
    let fleet = Fleet::of(&["a"]);
    let _a = fleet.start("a");
    let config = &why(&fleet, "a")["config"];
    assert_eq!((&config["changes"], &config["generation"]), (&json!([]), &json!(1)), "{config:#}");
    let port = fleet.port("a");
    fleet.configure("a", |it| {
        it["gateway"]["port"] = json!(fleet.spare(0));
        it["gateway"]["auth"]["token"] = json!("another-secret-token");
        it["models"]["providers"]["scripted"]["apiKey"] = json!("sk-another-secret");
        it["channels"] = json!({"telegram": {"botToken": "123456:bot-secret"}});
        it["logging"] = json!({"level": "debug"});
        it["agents"]["defaults"] = json!({});
    });
    let expected = [
        "agents.defaults.model: \"scripted/scripted-1\" → not set".to_owned(),
        "channels.telegram.botToken: not set → ***".to_owned(),
        "gateway.auth.token: *** → ***".to_owned(),
        format!("gateway.port: {port} → {}", fleet.spare(0)),
        "logging.level: not set → \"debug\"".to_owned(),
        "models.providers.scripted.apiKey: *** → ***".to_owned(),
    ];
    let output = fleet.run(&["why", "a"]).success();
    let lines: Vec<&str> = output.stdout.lines().map(str::trim).filter(|it| it.contains(" → ")).collect();
    assert_eq!(lines, expected, "{output}");
    let found = fleet.run(&["why", "a", "--json"]).success();
    let paths = found.json()["config"]["changes"].as_array().map(Vec::len);
    assert_eq!(paths, Some(expected.len()), "{found}");
    for output in [&output, &found] {
        for secret in ["secret", "sk-test", crate::scene::TOKEN] {
            assert!(!output.stdout.contains(secret), "{secret} in {output}");
        }
    }
    assert_eq!(fleet.ls().of("a")["configChanged"], true);
    assert!(fleet.run(&["ls"]).success().stdout.contains(" 1* "), "the star behind the generation");
}

#[test]
fn what_went_wrong_last_is_shown_out_of_the_log() {
    let fleet = Fleet::of(&["a"]);
    fleet.configure("a", |it| it["channels"] = json!({"telegram": {"botToken": "${NO_SUCH_LOGIN}"}}));
    fleet.run_once("a");
    let found = why(&fleet, "a");
    let errors = found["errors"].as_array().expect("lines");
    assert!(errors.iter().any(|it| it.as_str().is_some_and(|it| it.contains("NO_SUCH_LOGIN"))), "{found:#}");
    assert_eq!(found["log"], json!(fleet.state("a").join("logs/gateway.log")));
    assert!(told(&fleet, "a").contains("NO_SUCH_LOGIN"), "the person is told as well");
}

#[test]
fn a_name_that_nobody_has_is_refused_with_those_there_are() {
    let fleet = Fleet::of(&["a", "b"]);
    for words in [&["why", "c"][..], &["start", "c"], &["stop", "a", "c"], &["logs", "c"]] {
        let output = fleet.run(words).code(64);
        assert!(
            output.stderr.contains("there is no instance c") && output.stderr.contains("a, b"),
            "{output}"
        );
    }
    let config = fleet.config("a");
    let output = fleet.run(&["why", text(&fleet.state("a")), "--json"]).success();
    assert_eq!(output.json()["config"]["path"], json!(config), "a folder is as good as a name");
}
