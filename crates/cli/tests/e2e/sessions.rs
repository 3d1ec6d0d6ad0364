//! `sessions.*`: what can be said of a conversation, what becomes of it, and who hears of that.

use serde_json::{Value, json};
use testkit::{Output, Script};

use crate::scene::{Person, Scene};

/// The key of the conversation `name`.
fn key(name: &str) -> String {
    format!("agent:main:{name}")
}

#[track_caller]
fn done(person: &mut Person, method: &str, params: Value) -> Value {
    person.wire.request(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
}

#[track_caller]
fn refused(person: &mut Person, method: &str, params: Value) -> String {
    let error = person.wire.request(method, params).expect_err("it must be refused");
    format!(
        "{} {}",
        error["code"].as_str().unwrap_or_default(),
        error["message"].as_str().unwrap_or_default()
    )
}

fn keys(list: &Value) -> Vec<String> {
    let rows = list["sessions"].as_array().expect("rows");
    rows.iter().map(|it| it["key"].as_str().expect("a key").to_owned()).collect()
}

#[test]
fn what_is_said_of_a_conversation_is_kept_listed_and_taken_back() {
    let mut scene = Scene::new();
    let mut person = scene.person();
    person.check_goes_on("work");
    let patch = json!({
        "key": "work", "label": "Work", "icon": "hammer", "color": "blue", "category": "Jobs", "pinned": true,
        "unread": true, "thinkingLevel": "high", "verboseLevel": "on", "unknownKey": 5,
    });
    let reply = done(&mut person, "sessions.patch", patch);
    assert_eq!((&reply["ok"], &reply["key"]), (&json!(true), &json!(key("work"))));
    scene.gateway.kill();
    scene.restart();
    let mut person = scene.person();
    let row = done(&mut person, "sessions.describe", json!({"key": "work", "includeDerivedTitles": true}));
    let row = &row["session"];
    for (name, value) in [
        ("label", json!("Work")),
        ("icon", json!("hammer")),
        ("color", json!("blue")),
        ("pinned", json!(true)),
        ("unread", json!(true)),
        ("archived", json!(false)),
        ("thinkingLevel", json!("high")),
        ("verboseLevel", json!("on")),
        ("derivedTitle", json!("are you there?")),
        ("status", json!("done")),
        ("kind", json!("direct")),
        ("unknownKey", Value::Null),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    for (filter, expected) in [
        (json!({"label": "Work"}), 1),
        (json!({"label": "Other"}), 0),
        (json!({"group": "Jobs"}), 1),
        (json!({"pinned": false}), 0),
        (json!({"search": "there?"}), 1),
        (json!({"archived": true}), 0),
        (json!({"archived": "all", "sortBy": "name"}), 1),
        (json!({"agentId": "other"}), 0),
        (json!({"activeOnly": true}), 0),
        (json!({"activeMinutes": 5, "excludeSubagents": true, "excludeCron": true}), 1),
    ] {
        let list = done(&mut person, "sessions.list", filter.clone());
        assert_eq!((&list["count"], &list["totalCount"]), (&json!(expected), &json!(expected)), "{filter}");
    }
    let clear = json!({"key": "work", "label": null, "icon": null, "pinned": null, "unread": false});
    let entry = &done(&mut person, "sessions.patch", clear)["entry"];
    assert_eq!(
        (&entry["label"], &entry["icon"], &entry["pinned"]),
        (&Value::Null, &Value::Null, &json!(false))
    );
    assert_eq!(entry["color"], "blue", "what was not named stays");
}

#[test]
fn a_patch_asks_for_the_scope_of_its_keys_and_for_what_the_caller_expects() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.check_goes_on("one");
    person.check_goes_on("two");
    let mut writer = scene.person_with(|it| it["scopes"] = json!(["operator.write"]));
    done(&mut writer, "sessions.patch", json!({"key": "one", "label": "L", "thinkingLevel": "low"}));
    for params in [
        json!({"key": "one", "verboseLevel": "on"}),
        json!({"key": "one", "spawnedBy": "main"}),
        json!({"key": "one", "permissionMode": "full"}),
    ] {
        assert_eq!(refused(&mut writer, "sessions.patch", params), "FORBIDDEN missing scope: operator.admin");
    }
    let text = refused(&mut writer, "sessions.delete", json!({"key": "one"}));
    assert_eq!(text, "FORBIDDEN missing scope: operator.admin");
    let text = refused(&mut writer, "sessions.delete", json!({"key": "one", "archivedOnly": true}));
    assert!(text.contains("is not archived"), "{text}");
    for (params, words) in [
        (json!({"key": "two", "label": "L"}), "label already in use: L"),
        (
            json!({"key": "two", "verboseLevel": "loud"}),
            "invalid sessions.patch params: at /verboseLevel: must be",
        ),
        (json!({"key": "two", "pinned": "yes"}), "invalid sessions.patch params: at /pinned: "),
        (json!({"key": "two", "model": "nonsense"}), "\"nonsense\" (model) is no model"),
        (
            json!({"key": "two", "icon": "x", "expectedSessionId": "other"}),
            "session agent:main:two changed meanwhile",
        ),
        (
            json!({"key": "two", "icon": "x", "expectedLifecycleRevision": "9"}),
            "session agent:main:two changed",
        ),
    ] {
        let text = refused(&mut person, "sessions.patch", params);
        assert!(text.starts_with(&format!("INVALID_REQUEST {words}")), "{text}");
    }
    let row = done(&mut person, "sessions.describe", json!({"key": "two"}));
    assert_eq!(row["session"]["icon"], Value::Null, "nothing was changed by halves");
    let id = row["session"]["sessionId"].clone();
    done(&mut person, "sessions.patch", json!({"key": "two", "icon": "x", "expectedSessionId": id}));
    // Obeyed: nothing may be said where that was forbidden.
    done(&mut person, "sessions.patch", json!({"key": "two", "sendPolicy": "deny"}));
    let send = json!({"sessionKey": "two", "message": "hi", "idempotencyKey": "denied"});
    assert!(refused(&mut person, "chat.send", send).contains("send blocked by session policy"));
    done(&mut person, "sessions.patch", json!({"key": "two", "sendPolicy": null}));
    person.check_goes_on("two");
}

#[test]
fn a_conversation_is_begun_resolved_previewed_and_taken_away() {
    let scene = Scene::new();
    let mut person = scene.person();
    let made = done(
        &mut person,
        "sessions.create",
        json!({"label": "Trip", "message": "hello", "parentSessionKey": "main"}),
    );
    assert_eq!((&made["ok"], &made["runStarted"]), (&json!(true), &json!(true)), "{made}");
    let run = made["runId"].as_str().expect("a run").to_owned();
    assert_eq!(person.hear(&run)["state"], "final");
    let name = made["key"].as_str().expect("a key").to_owned();
    for params in [json!({"key": name}), json!({"label": "Trip"}), json!({"sessionId": made["sessionId"]})] {
        assert_eq!(done(&mut person, "sessions.resolve", params)["key"], name.as_str());
    }
    let list = done(&mut person, "sessions.list", json!({"spawnedBy": key("main")}));
    assert_eq!(keys(&list), [name.as_str()]);
    assert_eq!(
        refused(&mut person, "sessions.resolve", json!({"key": "nowhere"})),
        "INVALID_REQUEST No session found: nowhere"
    );
    assert_eq!(
        done(&mut person, "sessions.resolve", json!({"key": "nowhere", "allowMissing": true}))["ok"],
        false
    );
    let shown = done(&mut person, "sessions.preview", json!({"keys": [name, "nowhere"]}));
    assert_eq!(shown["previews"][0]["status"], "ok");
    assert_eq!(shown["previews"][0]["items"][1], json!({"role": "assistant", "text": "echo: hello"}));
    assert_eq!(shown["previews"][1], json!({"key": "nowhere", "status": "missing", "items": []}));
    assert_eq!(
        done(&mut person, "sessions.get", json!({"key": name}))["messages"].as_array().expect("all").len(),
        2
    );
    person.check_goes_on("main");
    assert_eq!(
        refused(&mut person, "sessions.delete", json!({"key": "main"})),
        "INVALID_REQUEST Cannot delete the main session (agent:main:main)."
    );
    let gone = done(&mut person, "sessions.delete", json!({"key": name}));
    assert_eq!(gone, json!({"ok": true, "key": name, "deleted": true, "archived": []}));
    assert_eq!(done(&mut person, "sessions.delete", json!({"key": name}))["deleted"], false);
    assert_eq!(done(&mut person, "sessions.describe", json!({"key": name}))["session"], Value::Null);
    // What it cost is counted all the same.
    let usage = done(&mut person, "sessions.usage", json!({}));
    let spent: Vec<_> =
        usage["sessions"].as_array().expect("rows").iter().map(|it| it["key"].clone()).collect();
    assert!(spent.contains(&json!(name)), "{usage}");
}

#[test]
fn who_is_reset_or_deleted_in_the_middle_of_a_turn_is_stopped_first() {
    let scene = Scene::new();
    scene.model.on("slow", Script::new().text("one ").wait("g").text("two"));
    for (method, params) in
        [("sessions.reset", json!({"key": "s"})), ("sessions.delete", json!({"key": "s"}))]
    {
        let mut person = scene.person();
        let run = person.say("s", "slow");
        person.wait_said(&run, "one");
        let waiting = person.say("s", "this one waits");
        let reply = done(&mut person, method, params);
        assert_eq!(reply["ok"], true);
        assert_eq!(person.hear(&run)["state"], "aborted", "{method}");
        assert_eq!(person.hear(&waiting)["state"], "aborted", "{method}");
        assert_eq!(person.history("s"), [""; 0], "{method}");
        person.check_goes_on("s");
    }
}

#[test]
fn those_who_asked_hear_of_changes_and_nobody_else_does() {
    let scene = Scene::new();
    let mut lister = scene.person();
    let mut named = scene.person();
    let mut other = scene.person_with(|it| it["caps"] = json!(["session-scoped-events"]));
    let mut speaker = scene.person();
    let list = done(&mut lister, "sessions.subscribe", json!({"list": {"limit": 5}}));
    assert_eq!((&list["subscribed"], &list["list"]["count"]), (&json!(true), &json!(0)));
    let reply = done(&mut named, "sessions.messages.subscribe", json!({"key": "talk"}));
    assert_eq!(reply, json!({"subscribed": true, "key": key("talk")}));
    done(&mut other, "sessions.messages.subscribe", json!({"key": "elsewhere"}));
    let run = speaker.say("talk", "hello");
    let event = |person: &mut Person, name: &str, role: &str| {
        let wanted = |it: &Value| it["event"] == name && it["payload"]["message"]["role"] == role;
        person.wire.next_event(wanted)["payload"].clone()
    };
    let said = event(&mut named, "session.message", "user");
    assert_eq!((&said["sessionKey"], &said["messageSeq"]), (&json!(key("talk")), &json!(1)), "{said}");
    assert_eq!(said["session"]["key"], key("talk"));
    let answer = event(&mut named, "session.message", "assistant");
    assert_eq!(
        (&answer["messageSeq"], &answer["message"]["__openclaw"]["id"]),
        (&json!(2), &answer["messageId"])
    );
    let phase = |person: &mut Person, reason: &str| {
        person.wire.next_event(|it| it["event"] == "sessions.changed" && it["payload"]["reason"] == reason)["payload"]
            .clone()
    };
    assert_eq!(phase(&mut lister, "start")["session"]["status"], "running");
    let end = phase(&mut lister, "end");
    assert_eq!((&end["session"]["status"], &end["runId"]), (&json!("done"), &json!(run)));
    done(&mut speaker, "sessions.patch", json!({"key": "talk", "icon": "x"}));
    assert_eq!(phase(&mut lister, "patch")["session"]["icon"], "x");
    done(&mut speaker, "sessions.delete", json!({"key": "talk"}));
    assert_eq!(phase(&mut lister, "delete")["session"], Value::Null);
    speaker.hear(&run);
    // What was told before a reply was queued before it.
    for (person, unheard) in [
        (&mut named, vec!["sessions.changed"]),
        (&mut other, vec!["sessions.changed", "session.message", "chat", "agent"]),
        (&mut speaker, vec!["sessions.changed", "session.message"]),
    ] {
        done(person, "health", json!({}));
        let heard = person.wire.take_events();
        assert!(!heard.iter().any(|it| unheard.iter().any(|name| it["event"] == *name)), "{heard:?}");
    }
}

#[test]
fn the_model_sums_up_and_the_next_turn_is_shown_the_sum() {
    let scene = Scene::new();
    scene.model.on("user: question 0", Script::new().text("They counted."));
    let mut person = scene.person();
    for at in 0..6 {
        person.ask("long", &format!("question {at}"));
    }
    let reply = done(&mut person, "sessions.compact", json!({"key": "long"}));
    assert_eq!((&reply["compacted"], &reply["kept"]), (&json!(true), &json!(6)), "{reply}");
    let history = done(&mut person, "chat.history", json!({"sessionKey": "long"}));
    assert_eq!(history["totalMessages"], 7);
    let first = &history["messages"][0];
    assert_eq!((&first["role"], &first["content"][0]["text"]), (&json!("system"), &json!("They counted.")));
    assert_eq!(first["__openclaw"]["kind"], "compaction");
    person.ask("long", "and now?");
    let requests = scene.model.requests();
    let shown = requests.last().expect("asked").messages();
    let text = shown[1]["content"].as_str().expect("a text");
    assert!(text.contains("They counted."), "{text}");
    assert!(!shown.iter().any(|it| it["content"] == "question 0"), "{shown:?}");
    let reply = done(&mut person, "sessions.compact", json!({"key": "long", "maxLines": 2}));
    assert_eq!(reply["kept"], 2);
    assert_eq!(person.history("long"), ["user: and now?", "assistant: echo: and now?"]);
    let reply = done(&mut person, "sessions.compact", json!({"key": "long", "maxLines": 2}));
    assert_eq!((&reply["compacted"], &reply["reason"]), (&json!(false), &json!("nothing to compact")));
}

#[test]
fn a_death_in_the_middle_of_a_compaction_leaves_the_old_or_the_new() {
    let mut scene = Scene::new();
    let mut person = scene.person();
    for at in 0..5 {
        person.ask("long", &format!("question {at}"));
    }
    let old = person.history("long");
    for (method, params) in [
        ("sessions.compact", json!({"key": "long", "maxLines": 4})),
        ("sessions.reset", json!({"key": "long"})),
    ] {
        let mut before = scene.person().history("long");
        person = scene.person();
        person.wire.send(method, params);
        scene.gateway.kill();
        scene.restart();
        let after = scene.person().history("long");
        let new = if method == "sessions.reset" { Vec::new() } else { before.split_off(before.len() - 4) };
        assert!(
            after == old || after == new || after.ends_with(&new) && after.len() == old.len(),
            "{after:?}"
        );
        scene.person().check_goes_on("long");
        done(&mut scene.person(), "sessions.delete", json!({"key": "long"}));
        for at in 0..5 {
            scene.person().ask("long", &format!("question {at}"));
        }
    }
}

/// Before the model is asked, while it answers, and as early and as late as a kill can be while the cut is written.
#[test]
fn a_death_at_any_stage_of_a_compaction_leaves_the_whole_or_the_sum() {
    let mut scene = Scene::new();
    let before: Vec<String> = (0..6)
        .flat_map(|at| {
            scene.person().ask("long", &format!("question {at}"));
            [format!("user: question {at}"), format!("assistant: echo: question {at}")]
        })
        .collect();
    assert_eq!(scene.person().history("long"), before);
    let sum = [vec!["system: They counted.".to_owned()], before[6..].to_vec()].concat();
    for (at, stage) in ["asked", "half", "written", "written", "written", "answered"].into_iter().enumerate()
    {
        let (begin, rest) = (format!("begin {at}"), format!("rest {at}"));
        let sums = Script::new().wait(&begin).text("They ").wait(&rest).text("counted.");
        scene.model.on("user: question 0", sums);
        let mut person = scene.person();
        let id = person.wire.send("sessions.compact", json!({"key": "long"}));
        scene.model.reached(&begin);
        if stage != "asked" {
            scene.model.open(&begin);
            scene.model.reached(&rest);
        }
        if matches!(stage, "written" | "answered") {
            scene.model.open(&rest);
        }
        if stage == "answered" {
            person.wire.response(&id).expect("shortened");
        }
        scene.gateway.kill();
        scene.restart();
        let after = scene.person().history("long");
        let is_shortened = after == sum;
        match stage {
            "asked" | "half" => assert_eq!(after, before, "{stage}"),
            "answered" => assert_eq!(after, sum, "what was answered is lost"),
            _ => assert!(is_shortened || after == before, "{after:?}"),
        }
        if is_shortened {
            break;
        }
    }
    scene.person().check_goes_on("long");
}

#[test]
fn a_thousand_conversations_are_listed_page_by_page_without_loss() {
    let scene = Scene::new();
    let mut person = scene.person();
    for from in (0..1000).step_by(100) {
        let make = |at| person.wire.send("sessions.create", json!({"key": format!("s{at}")}));
        let ids: Vec<_> = (from..from + 100).map(make).collect();
        for id in ids {
            person.wire.response(&id).expect("made");
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut offset = json!(0);
    while !offset.is_null() {
        let page =
            done(&mut person, "sessions.list", json!({"limit": 300, "offset": offset, "sortBy": "created"}));
        assert_eq!((&page["totalCount"], &page["limitApplied"]), (&json!(1000), &json!(300)));
        seen.extend(keys(&page));
        offset = page["nextOffset"].clone();
        assert_eq!(page["hasMore"], json!(!offset.is_null()));
    }
    assert_eq!(seen.len(), 1000);
    let list = done(&mut person, "sessions.list", json!({}));
    assert_eq!((&list["count"], &list["nextOffset"]), (&json!(100), &json!(100)));
}

#[test]
fn the_command_line_lists_them_also_for_scripts() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.check_goes_on("work");
    let run = |args: &[&str]| Output::of(scene.command(args));
    let text = run(&["sessions"]).success().stdout;
    assert!(text.contains("agent:main:work") && text.contains("scripted/scripted-1"), "{text}");
    let list = run(&["sessions", "list", "--active", "5", "--agent", "main", "--json"]).success().json();
    assert_eq!((&list["count"], &list["sessions"][0]["key"]), (&json!(1), &json!(key("work"))));
    assert_eq!(run(&["sessions", "--agent", "nobody", "--json"]).success().json()["count"], 0);
    let _ = run(&["sessions", "archive", "agent:main:work"]).success();
    assert_eq!(run(&["sessions", "--json"]).success().json()["count"], 0);
    let _ = run(&["sessions", "delete", "agent:main:work", "--yes"]).success();
    let failed = run(&["sessions", "delete", "main", "--yes"]);
    assert!(failed.stderr.contains("Cannot delete the main session"), "{}", failed.stderr);
    let _ = failed.code(1);
}
