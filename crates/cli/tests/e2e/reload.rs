//! A config that changes while its gateway runs: in force as a whole, or refused as a whole and told.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::model::Script;
use testkit::{Wire, free_base, tree};

use crate::scene::{MAIN, Scene, TOKEN, configure, said, until, write};
use crate::support::sandbox;

/// What the file says now, changed.
fn edit(scene: &Scene, change: impl FnOnce(&mut Value)) {
    configure(&scene.sandbox, MAIN, &scene.model.base_url(), |it| {
        it["gateway"]["reload"] = json!({"debounceMs": 5});
        change(it);
    });
}

/// A gateway that looks at its config soon after it changed.
fn scene() -> Scene {
    Scene::with(|it| it["gateway"]["reload"] = json!({"debounceMs": 5}))
}

fn config_of(scene: &Scene) -> PathBuf {
    scene.state().join("openclaw.json")
}

/// What the gateway says of its config.
#[track_caller]
fn status(scene: &Scene) -> Value {
    let status =
        testkit::Output::of(scene.command(&["gateway", "call", "status", "--json"])).success().json();
    status["config"].clone()
}

#[test]
fn what_changes_is_in_force_and_told_key_by_key() {
    let scene = scene();
    assert_eq!(status(&scene)["inForce"], true);
    edit(&scene, |it| {
        it["gateway"]["auth"]["token"] = json!("another-token-of-the-test");
        it["tools"] = json!({"deny": ["exec"]});
        it["session"] = json!({"scope": "global"});
    });
    let line = scene.gateway.wait_log("config: gateway.auth.token");
    assert!(line.ends_with("*** → *** (hot)"), "{line}");
    scene.gateway.wait_log("config: tools.deny: not set → [\"exec\"] (hot)");
    scene.gateway.wait_log("session: has no effect here");
    scene.gateway.wait_log("config in force generation=2");
    let status = status(&scene);
    assert_eq!(
        (&status["inForce"], &status["generation"], &status["last"]["how"]),
        (&json!(true), &json!(2), &json!("applied"))
    );
    let steps: Vec<_> =
        status["last"]["plan"].as_array().expect("steps").iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(steps, ["hot", "nothing", "hot"]);
    assert!(!scene.gateway.log().contains("another-token"), "a secret is in the log");
    let tools = Wire::connect(scene.gateway.port(), "another-token-of-the-test")
        .request("chat.send", json!({"sessionKey": "main", "message": "/tools", "idempotencyKey": "t"}));
    assert!(tools.is_ok(), "{tools:?}");
}

#[test]
fn whoever_came_in_by_the_old_secret_has_to_go() {
    let scene = scene();
    let mut person = scene.person();
    edit(&scene, |it| it["gateway"]["auth"]["token"] = json!("another-token-of-the-test"));
    let closed = person.wire.closed();
    assert_eq!((closed.code, closed.reason.as_str()), (4001, "gateway auth changed"));
    let refused = Wire::try_connect(scene.gateway.port(), testkit::wire::connect_params(TOKEN));
    assert!(refused.is_err());
    // Who asks for the same secret stays, whatever else changes.
    let mut person = Person::with("another-token-of-the-test", &scene);
    edit(&scene, |it| {
        it["gateway"]["auth"]["token"] = json!("another-token-of-the-test");
        it["tools"] = json!({"deny": ["exec"]});
    });
    scene.gateway.wait_log("config in force generation=3");
    assert!(person.0.request("health", json!({})).is_ok());
}

struct Person(Wire);

impl Person {
    fn with(token: &str, scene: &Scene) -> Person {
        Person(Wire::connect(scene.gateway.port(), token))
    }
}

#[test]
fn a_file_that_is_wrong_is_told_everywhere_and_the_old_config_runs_on() {
    let scene = scene();
    let path = config_of(&scene);
    for (text, words) in [
        ("{ gateway: { mode: 'local', ", "line 1, column"),
        (
            "{ gateway: { mode: 'local', port: 'x', auth: { token: 5 } } }",
            "gateway.port: is a string, expected a number",
        ),
        (
            "{ gateway: { mode: 'local', auth: { token: '${NOT_THERE}' } } }",
            "the environment has no variable NOT_THERE",
        ),
        ("{ gateway: { mode: 'local' } }", "gateway.auth.token: is not set"),
    ] {
        write(&path, text);
        let before = fs::metadata(&path).expect("there");
        let seen = until("the refusal is in the status", || {
            let status = status(&scene);
            status["refused"].to_string().contains(words).then_some(status)
        });
        assert_eq!((&seen["inForce"], &seen["generation"]), (&json!(false), &json!(1)), "{seen}");
        assert!(scene.gateway.log().contains(words), "{}", scene.gateway.log());
        let shown = testkit::Output::of(scene.command(&["fleet", "ls", "--json"])).success().json();
        assert_eq!(shown["instances"][0]["state"], "degraded", "{shown}");
        let health = testkit::Output::of(scene.command(&["health", "--json"])).code(1).json();
        assert!(health["problems"][0].as_str().is_some_and(|it| it.contains("is not in force")), "{health}");
        scene.person().check_goes_on("main");
        let after = fs::metadata(&path).expect("there");
        assert_eq!((fs::read_to_string(&path).expect("there").as_str(), before.ino()), (text, after.ino()));
        assert_eq!(before.modified().ok(), after.modified().ok());
    }
    fs::remove_file(&path).expect("there");
    until("that it is gone is told", || {
        status(&scene)["refused"][0].as_str()?.contains("is gone").then_some(())
    });
    edit(&scene, |_| {});
    until("all is well again", || (status(&scene)["inForce"] == true).then_some(()));
    let _ = testkit::Output::of(scene.command(&["health"])).success();
}

#[test]
fn a_turn_under_way_is_not_dropped_and_the_restart_waits_for_it() {
    let scene = scene();
    scene.model.on("slowly", Script::new().text("half ").wait("gate").text("and whole"));
    let mut person = scene.person();
    let run = person.say("main", "slowly");
    person.wait_said(&run, "half");
    let base = free_base();
    // The command line names the port, so this one is not used; that it would be is a reason to restart.
    edit(&scene, |it| it["gateway"]["port"] = json!(base.port()));
    scene.gateway.wait_log("config: gateway.port: not set →");
    scene.gateway.wait_log("the config needs a restart");
    assert_eq!(status(&scene)["last"]["how"], "restarting");
    assert!(scene.gateway.is_running());
    scene.model.open("gate");
    let end = person.hear(&run);
    assert_eq!(said(&end), "final: half and whole");
    scene.gateway.wait_log("stopping on a changed config");
    until("it is back under the same process", || {
        let status = testkit::Output::of(scene.command(&["gateway", "call", "status", "--json"]));
        let status: Value = serde_json::from_str(&status.stdout).ok()?;
        (status["config"]["generation"] == 2)
            .then(|| assert_eq!(status["instance"]["pid"], scene.gateway.pid()))
    });
    let mut person = scene.person();
    assert!(person.history("main").iter().any(|it| it.ends_with("half and whole")));
}

#[test]
fn a_port_that_somebody_has_is_refused_before_anything_stops() {
    let sandbox = sandbox();
    let model = testkit::ScriptedModel::start().key(crate::scene::KEY);
    let (base, other) = (free_base(), free_base());
    configure(&sandbox, MAIN, &model.base_url(), |it| {
        it["gateway"]["reload"] = json!({"debounceMs": 5});
        it["gateway"]["port"] = json!(base.port());
    });
    let gateway = testkit::Gateway::start(sandbox.command(&["--profile", MAIN, "gateway"]), base.port());
    let _stranger = std::net::TcpListener::bind(("127.0.0.1", other.port())).expect("it was free");
    let scene = Scene { gateway, model, sandbox, base };
    edit(&scene, |it| it["gateway"]["port"] = json!(other.port()));
    let line = scene.gateway.wait_log("is not in force");
    assert!(line.contains(&format!("port {} cannot be listened on: taken by", other.port())), "{line}");
    scene.person().check_goes_on("main");
    let third = free_base();
    edit(&scene, |it| it["gateway"]["port"] = json!(third.port()));
    scene.gateway.wait_log(&format!("listening on ws://127.0.0.1:{} ", third.port()));
    let mut person = Wire::connect(third.port(), TOKEN);
    assert!(person.request("health", json!({})).is_ok());
    assert!(std::net::TcpListener::bind(("127.0.0.1", scene.base.port())).is_ok(), "the old port is free");
}

#[test]
fn a_restart_that_finds_its_port_taken_after_all_begins_again_with_the_config_before() {
    let sandbox = sandbox();
    let model = testkit::ScriptedModel::start().key(crate::scene::KEY);
    let (base, other) = (free_base(), free_base());
    let fast = |it: &mut Value| it["gateway"]["reload"] = json!({"debounceMs": 5});
    configure(&sandbox, MAIN, &model.base_url(), |it| {
        fast(it);
        it["gateway"]["port"] = json!(base.port());
    });
    let gateway = testkit::Gateway::start(sandbox.command(&["--profile", MAIN, "gateway"]), base.port());
    let scene = Scene { gateway, model, sandbox, base };
    scene.model.on("slowly", Script::new().text("half ").wait("gate").text("and whole"));
    let mut person = scene.person();
    let run = person.say("main", "slowly");
    person.wait_said(&run, "half");
    edit(&scene, |it| it["gateway"]["port"] = json!(other.port()));
    scene.gateway.wait_log("the config needs a restart turns=1");
    // While it waits for the turn, somebody takes the port that was free.
    let _stranger = std::net::TcpListener::bind(("127.0.0.1", other.port())).expect("it was free");
    scene.model.open("gate");
    assert_eq!(said(&person.hear(&run)), "final: half and whole");
    let line = scene.gateway.wait_log("the gateway begins again with the config before");
    assert!(line.contains(&format!("port {} is taken by", other.port())), "{line}");
    let seen = until("it is back, and says why", || {
        let status = testkit::Output::of(scene.command(&["gateway", "call", "status", "--json"]));
        serde_json::from_str::<Value>(&status.stdout).ok().filter(|it| it["config"]["inForce"] == false)
    });
    assert_eq!(
        (&seen["instance"]["port"], &seen["instance"]["pid"]),
        (&json!(scene.base.port()), &json!(scene.gateway.pid()))
    );
    scene.person().check_goes_on("main");
}

#[test]
fn a_workspace_of_another_gateway_is_refused_before_a_restart() {
    let sandbox = sandbox();
    let model = testkit::ScriptedModel::start().key(crate::scene::KEY);
    configure(&sandbox, "other", &model.base_url(), |_| {});
    let (other_base, base) = (free_base(), free_base());
    let other = sandbox.start(&["--profile", "other"], other_base.port());
    let theirs = sandbox.state(Some("other")).join("workspace-other");
    for mode in ["hybrid", "restart"] {
        configure(&sandbox, MAIN, &model.base_url(), |it| {
            it["gateway"]["reload"] = json!({"debounceMs": 5, "mode": mode});
        });
        let mut gateway = sandbox.start(&["--profile", MAIN], base.port());
        configure(&sandbox, MAIN, &model.base_url(), |it| {
            it["gateway"]["reload"] = json!({"debounceMs": 5, "mode": mode});
            it["agents"]["defaults"]["workspace"] = json!(theirs);
        });
        let line = gateway.wait_log("is not in force");
        let holder = format!("is held by instance other (pid {}, ", other.pid());
        assert!(line.contains("workspace") && line.contains(&holder), "{line}");
        assert!(gateway.is_running() && !gateway.log().contains("stopping on a changed config"));
        assert_eq!(gateway.stop(), 0);
    }
}

#[test]
fn a_login_that_another_instance_has_is_refused_and_one_that_changes_moves_alone() {
    let sandbox = sandbox();
    let model = testkit::ScriptedModel::start().key(crate::scene::KEY);
    let telegram = |token: &str| json!({"telegram": {"botToken": token}});
    configure(&sandbox, "other", &model.base_url(), |it| it["channels"] = telegram("1:other"));
    let (other_base, base) = (free_base(), free_base());
    let _other = sandbox.start(&["--profile", "other"], other_base.port());
    configure(&sandbox, MAIN, &model.base_url(), |it| {
        it["gateway"]["reload"] = json!({"debounceMs": 5});
        it["channels"] = telegram("2:mine");
    });
    let gateway = sandbox.start(&["--profile", MAIN], base.port());
    let scene = Scene { gateway, model, sandbox, base };
    edit(&scene, |it| it["channels"] = telegram("3:new"));
    let line = scene.gateway.wait_log("config: channels.telegram.botToken");
    assert!(line.ends_with("*** → *** (channel telegram)"), "{line}");
    scene.gateway.wait_log("config in force generation=2");
    let logins = |scene: &Scene| {
        let claims = scene.sandbox.run(&["fleet", "claims", "--json"]).success().json();
        let claims = claims["claims"].as_array().expect("claims").iter();
        claims.filter(|it| it.to_string().contains("telegram")).count()
    };
    assert_eq!(logins(&scene), 2, "one each: the old one was given back");
    edit(&scene, |it| it["channels"] = telegram("1:other"));
    let line = scene.gateway.wait_log("is not in force");
    assert!(line.contains("held by instance other"), "{line}");
    assert_eq!(logins(&scene), 2);
}

#[test]
fn modes_decide_what_a_change_may_do() {
    let scene = scene();
    let with = |mode: &str, level: &str| {
        configure(&scene.sandbox, MAIN, &scene.model.base_url(), |it| {
            it["gateway"]["reload"] = json!({"debounceMs": 5, "mode": mode});
            it["gateway"]["bind"] = json!(if mode == "hot" { "auto" } else { "loopback" });
            it["logging"] = json!({"level": level});
        });
    };
    with("off", "warn");
    scene.gateway.wait_log("gateway.reload.mode is off");
    assert_eq!((&status(&scene)["generation"], &status(&scene)["last"]["how"]), (&json!(1), &json!("off")));
    with("hot", "info");
    scene.gateway.wait_log("gateway.bind: takes effect when the gateway is restarted");
    assert_eq!(status(&scene)["generation"], 2);
    with("restart", "info");
    scene.gateway.wait_log("stopping on a changed config");
    until("it is back", || {
        let status = testkit::Output::of(scene.command(&["gateway", "call", "status", "--json"]));
        let status: Value = serde_json::from_str(&status.stdout).ok()?;
        (status["config"]["generation"] == 3).then_some(())
    });
}

#[test]
fn what_is_included_is_watched_and_kept_with_its_generation() {
    let sandbox = sandbox();
    let model = testkit::ScriptedModel::start().key(crate::scene::KEY);
    let base = free_base();
    configure(&sandbox, MAIN, &model.base_url(), |it| {
        it["gateway"]["reload"] = json!({"debounceMs": 5});
        it["tools"] = json!({"$include": "./tools.json5"});
    });
    let part = sandbox.state(Some(MAIN)).join("tools.json5");
    write(&part, "{ deny: ['exec'] } // mine");
    let gateway = sandbox.start(&["--profile", MAIN], base.port());
    let mut scene = Scene { gateway, model, sandbox, base };
    write(&part, "{ deny: ['exec', 'write'] }");
    scene.gateway.wait_log("config: tools.deny: [\"exec\"] → [\"exec\",\"write\"] (hot)");
    write(&part, "{ deny: 5 }");
    let line = scene.gateway.wait_log("is not in force");
    assert!(
        line.contains("tools.json5, line 1, column 3: tools.deny: is a number, expected a list"),
        "{line}"
    );
    // It starts by what it included when it was accepted.
    assert_eq!(scene.gateway.stop(), 0);
    fs::remove_file(&part).expect("there");
    let before = tree::hash(&scene.state());
    scene.restart();
    let line = scene.gateway.wait_log("is not in force");
    assert!(
        line.contains("tools.$include: there is no file") && line.contains("generation 2 runs"),
        "{line}"
    );
    let after = tree::hash(&scene.state());
    assert_eq!(before.get(&PathBuf::from("openclaw.json")), after.get(&PathBuf::from("openclaw.json")));
    write(&part, "{ deny: [] }");
    scene.gateway.wait_log("the config file is in force again");
}
