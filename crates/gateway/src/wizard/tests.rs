//! The walk without a terminal: forth, back, at random, and what it writes.

use std::path::{Path, PathBuf};

use profile::{Ambient, Document, Instance, Selection};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A home without anything in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn setting(&self, profile: Option<&str>, given: Value) -> Setting {
        let home = self.path().display().to_string();
        let ambient =
            Ambient::of(&[("HOME", &home), ("OPENAI_API_KEY", "sk-of-the-environment")], self.path());
        let selection = Selection { profile: profile.map(str::to_owned), dev: false };
        let instance = Instance::resolve(&ambient, &selection).expect("resolves");
        let given = given.as_object().expect("an object").clone().into_iter().collect();
        let found = Found::default();
        Setting {
            instance,
            is_open: profile.is_none(),
            ambient,
            found,
            given,
            only: None,
            live: false,
            installs: true,
        }
    }

    fn walk(&self, profile: Option<&str>, given: Value) -> Wizard {
        Wizard::new(self.setting(profile, given)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn configure(&self, profile: &str, sections: &[Section], given: Value) -> Wizard {
        let only = Some(sections.to_vec());
        Wizard::new(Setting { only, ..self.setting(Some(profile), given) })
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn config(&self, profile: &str) -> PathBuf {
        self.path().join(format!(".openclaw-{profile}/openclaw.json"))
    }

    fn text(&self, profile: &str) -> String {
        std::fs::read_to_string(self.config(profile)).expect("a config")
    }

    fn put(&self, profile: &str, text: &str) {
        let path = self.config(profile);
        base::file::private_folder(path.parent().expect("in a folder")).expect("made");
        base::file::replace(&path, text.as_bytes()).expect("written");
    }

    /// Everything that is there.
    fn tree(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn below(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in std::fs::read_dir(folder).expect("readable").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    below(&path, found)
                }
                found.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
            }
        }
        let mut found = Vec::new();
        below(self.path(), &mut found);
        found.sort();
        found
    }
}

fn asked(wizard: &Wizard) -> Step {
    match wizard.at() {
        At::Ask(step) => *step,
        other => panic!("{other:?} is no question"),
    }
}

/// What a person who reads everything and changes one thing here and there would say.
fn usual(step: &Step) -> Value {
    match step.id.as_str() {
        "risk" => json!("yes"),
        "flow" => json!("advanced"),
        "model.provider" => json!("openai"),
        "model.keySource" => json!("plaintext"),
        "model.key" => json!("sk-typed"),
        "access.mode" => json!("password"),
        "access.password" => json!("correct horse"),
        _ => Value::Null,
    }
}

/// Answers until nothing is asked any more; returns the steps.
fn to_the_end(wizard: &mut Wizard, answer: impl Fn(&Step) -> Value) -> Vec<String> {
    let mut ids = Vec::new();
    while let At::Ask(step) = wizard.at() {
        wizard.answer(&answer(&step)).unwrap_or_else(|mistake| panic!("{mistake:?}"));
        ids.push(step.id);
        assert!(ids.len() < 100, "it does not end: {ids:?}");
    }
    ids
}

#[test]
fn every_step_is_come_back_to_and_nothing_is_written_before_the_end() {
    let home = Home::new();
    let before = home.tree();
    let mut wizard = home.walk(None, json!({}));
    assert!(!wizard.back(), "there is nothing before the first");
    let mut ids: Vec<String> = Vec::new();
    while let At::Ask(step) = wizard.at() {
        wizard.answer(&usual(&step)).unwrap_or_else(|mistake| panic!("{mistake:?}"));
        if let At::Ask(_) = wizard.at() {
            assert!(wizard.back());
            let again = asked(&wizard);
            assert_eq!(again.id, step.id);
            let said = usual(&step);
            if step.kind != Kind::Secret && !said.is_null() {
                let expected = if step.kind == Kind::Confirm { json!(true) } else { said };
                assert_eq!(again.default, Some(expected), "what was said before is proposed");
            }
            wizard.answer(&usual(&step)).expect("as before");
        }
        ids.push(step.id);
        assert_eq!(home.tree(), before);
    }
    assert_eq!(
        ids,
        [
            "found",
            "risk",
            "profile",
            "flow",
            "gateway.port",
            "workspace",
            "model.provider",
            "model.keySource",
            "model.key",
            "model.name",
            "channels",
            "access.mode",
            "access.password",
            "service",
            "summary"
        ]
    );
    assert_eq!(wizard.at(), At::Done);
    // All the way back, too.
    let mut wizard = home.walk(None, json!({}));
    while asked(&wizard).id != "summary" {
        let step = asked(&wizard);
        wizard.answer(&usual(&step)).expect("fine");
    }
    let mut steps = 0;
    while wizard.back() {
        steps += 1;
    }
    assert_eq!((steps, asked(&wizard).id.as_str()), (ids.len() - 1, "found"));
}

/// A walk that nobody in their right mind would take.
#[test]
fn a_random_walk_neither_panics_nor_writes() {
    let home = Home::new();
    home.put("there", "{ gateway: { mode: 'local', port: 21000, auth: { token: 't' } }, models: { providers: { own: { baseUrl: 'http://127.0.0.1:1/v1' } } } }");
    let before = home.tree();
    let mut seed: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % below
    };
    let garbage = [
        json!(null),
        json!(""),
        json!("<"),
        json!("../.."),
        json!("0"),
        json!("65535"),
        json!("70000"),
        json!(-1),
        json!("there"),
        json!("a\nb"),
        json!({"a": 1}),
        json!([1, "webchat"]),
        json!("${NOPE}"),
        json!("no"),
        json!("http://x"),
        json!("ä".repeat(300)),
        json!(true),
        json!("~"),
    ];
    for walk in 0..200 {
        let mut wizard = home.walk([None, Some("there")][walk % 2], json!({}));
        for _ in 0..60 {
            let At::Ask(step) = wizard.at() else { break };
            if step.id == "summary" && random(3) > 0 {
                assert!(wizard.back());
                continue;
            }
            match random(6) {
                0 => drop(wizard.back()),
                1 => drop(wizard.answer(&garbage[random(garbage.len())])),
                2 if !step.choices.is_empty() => {
                    drop(wizard.answer(&json!(step.choices[random(step.choices.len())].value)));
                }
                _ => drop(wizard.answer(&usual(&step))),
            }
            let _ = wizard.said();
        }
    }
    assert_eq!(home.tree(), before);
}

#[test]
fn what_was_answered_is_written_once_and_only_that() {
    let home = Home::new();
    let mut wizard = home.walk(Some("acme"), json!({}));
    let _ = to_the_end(&mut wizard, usual);
    let outcome = wizard.finish().unwrap_or_else(|error| panic!("{error}"));
    let document = Document::load(&home.config("acme")).expect("reads");
    for (key, expected) in [
        ("gateway.mode", json!("local")),
        ("gateway.port", json!(outcome.plan.base)),
        ("gateway.auth.mode", json!("password")),
        ("gateway.auth.password", json!("correct horse")),
        ("models.providers.openai.apiKey", json!("sk-typed")),
        ("agents.defaults.model", json!("openai/gpt-5.1")),
    ] {
        assert_eq!(document.get(key), Some(&expected), "{key} in {}", document.text());
    }
    assert!(outcome.is_new && outcome.access == "password" && outcome.files.contains(&"BOOTSTRAP.md"));
    assert!(outcome.workspace.ends_with("workspace-acme") && outcome.workspace.join("SOUL.md").is_file());
    // The second time nothing is left to do.
    let text = home.text("acme");
    let mut again = home.walk(Some("acme"), json!({"risk": true, "existing": "change", "flow": "advanced"}));
    let _ = to_the_end(&mut again, |_| Value::Null);
    let outcome = again.finish().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.changes, []);
    assert_eq!(home.text("acme"), text);
}

#[test]
fn answers_given_beforehand_make_the_config_that_a_person_would_make() {
    let typed = Home::new();
    let mut wizard = typed.walk(Some("a"), json!({}));
    let _ = to_the_end(&mut wizard, usual);
    wizard.finish().expect("written");
    let given = Home::new();
    let all = json!({
        "risk": true, "flow": "advanced", "model.provider": "openai", "model.keySource": "plaintext",
        "model.key": "sk-typed", "access.mode": "password", "access.password": "correct horse",
    });
    let mut wizard = given.walk(Some("a"), all);
    let _ = to_the_end(&mut wizard, |_| Value::Null);
    wizard.finish().expect("written");
    let plain = |home: &Home| {
        let text = home.text("a");
        assert!(!text.contains("token: "), "nobody needs a token beside a password: {text}");
        text.replace(&home.path().display().to_string(), "HOME")
    };
    assert_eq!(plain(&typed), plain(&given));
}

#[test]
fn no_secret_is_in_a_step_a_mistake_or_an_outcome() {
    let home = Home::new();
    home.put("a", "{ gateway: { mode: 'local', port: 21000, auth: { token: 'hunter2-token' } }, models: { providers: { openai: { apiKey: 'hunter2-key' } } } }");
    let mut wizard =
        home.walk(Some("a"), json!({"model.key": "hunter2-given", "model.keySource": "plaintext"}));
    let mut said = String::new();
    while let At::Ask(step) = wizard.at() {
        said.push_str(&format!("{step:?}"));
        let value = match step.id.as_str() {
            "access.token" => json!("hunter2 with a space"),
            _ => usual(&step),
        };
        let value = if step.id == "access.mode" { json!("token") } else { value };
        if let Err(mistake) = wizard.answer(&value) {
            said.push_str(&format!("{mistake:?}"));
            wizard.answer(&json!("hunter2-typed")).expect("fine");
        }
        said.push_str(&wizard.said().concat());
    }
    let outcome = wizard.finish().unwrap_or_else(|error| panic!("{error}"));
    said.push_str(&format!("{outcome:?}"));
    assert!(!said.contains("hunter2") && said.contains("holds a space"), "{said}");
    assert!(home.text("a").contains("hunter2-typed") && home.text("a").contains("hunter2-given"));
}

#[test]
fn one_section_is_changed_and_comments_stay() {
    let home = Home::new();
    let text = "// mine\n{\n  gateway: { mode: 'local', port: 21000, /* why */ auth: { token: 't' } },\n  \
                agents: { defaults: { model: { primary: 'openai/old' }, workspace: '~/notes' } }, // last\n  zebra: [1],\n}\n";
    home.put("a", text);
    let mut wizard = home.configure("a", &[Section::Model], json!({"model.name": "new"}));
    let ids = to_the_end(&mut wizard, |_| Value::Null);
    assert_eq!(ids, ["model.provider", "model.keySource", "summary"]);
    let outcome = wizard.finish().expect("written");
    let paths: Vec<_> = outcome.changes.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["agents.defaults.model.primary", "models.providers.openai.apiKey"]);
    let written = home.text("a");
    for kept in [
        "// mine\n{",
        "/* why */",
        "// last",
        "zebra: [1]",
        "'~/notes'",
        "openai/new",
        "\"${OPENAI_API_KEY}\"",
    ] {
        assert!(written.contains(kept), "no {kept} in {written}");
    }
    // Without a name, the sections are asked for.
    let wizard = home.configure("a", &[], json!({}));
    assert_eq!(asked(&wizard).id, "sections");
}

#[test]
fn a_port_of_another_instance_is_refused_with_both_names() {
    let home = Home::new();
    let mut first = home.walk(
        Some("first"),
        json!({"risk": true, "flow": "quickstart", "model.provider": "skip", "gateway.port": "21000"}),
    );
    let _ = to_the_end(&mut first, |_| Value::Null);
    first.finish().expect("written");
    let mut wizard = home.walk(Some("second"), json!({"risk": true, "flow": "advanced"}));
    wizard.answer(&Value::Null).expect("a note");
    let step = asked(&wizard);
    assert_eq!(step.id, "gateway.port");
    for (port, words) in
        [("21002", ["second", "first"]), ("70000", ["no port", "65535"]), ("65500", ["65500", "above"])]
    {
        let mistake = wizard.answer(&json!(port)).expect_err(port);
        assert!(words.iter().all(|it| mistake.words.contains(it)), "{}", mistake.words);
    }
    let given = home.walk(Some("second"), json!({"risk": true, "flow": "advanced", "gateway.port": "21000"}));
    let mut given = given;
    given.answer(&Value::Null).expect("a note");
    let At::Refused(mistake) = given.at() else { panic!("{:?}", given.at()) };
    assert_eq!(mistake.flag.as_deref(), Some("--gateway-port"));
}

#[test]
fn a_workspace_that_holds_more_than_an_agent_may_change_is_refused() {
    let home = Home::new();
    home.put(
        "other",
        "{ gateway: { mode: 'local', port: 21000 }, agents: { defaults: { workspace: '~/notes' } } }",
    );
    let setting = home.setting(Some("a"), json!({"risk": true, "flow": "advanced", "gateway.port": "22000"}));
    let other = Neighbour {
        name: "other".to_owned(),
        state: "stopped",
        port: Some(21000),
        folder: home.path().join(".openclaw-other"),
        config_path: home.config("other"),
    };
    let found = Found { instances: vec![other], ..Found::default() };
    let mut wizard = Wizard::new(Setting { found, ..setting }).unwrap_or_else(|error| panic!("{error}"));
    wizard.answer(&Value::Null).expect("a note");
    assert_eq!(asked(&wizard).id, "workspace");
    let file = home.config("other").display().to_string();
    for (folder, words) in [
        ("~", "a folder of its own"),
        ("/", "a folder of its own"),
        ("~/.openclaw-a", "a folder of its own"),
        ("~/notes", "instance other works in"),
        (&file, "is a file"),
    ] {
        let mistake = wizard.answer(&json!(folder)).expect_err(folder);
        assert!(mistake.words.contains(words), "{folder}: {}", mistake.words);
    }
    wizard.answer(&json!("~/.openclaw-a/mine")).expect("nobody else's");
}

#[test]
fn an_invalid_config_is_shown_and_left_alone() {
    let home = Home::new();
    let text = "{ gateway: { mode: 'local', bind: 'lan', port: 'x' } }";
    home.put("a", text);
    let Err(BadStart::Invalid { findings, .. }) = Wizard::new(home.setting(Some("a"), json!({}))) else {
        panic!("it is not valid")
    };
    assert!(findings.iter().any(|it| it.path.starts_with("gateway.")), "{findings:?}");
    assert_eq!(home.text("a"), text);
}

#[test]
fn a_config_that_somebody_else_writes_meanwhile_is_not_written_over() {
    let home = Home::new();
    home.put("a", "{ gateway: { mode: 'local', port: 21000 } }");
    let mut wizard = home.walk(Some("a"), json!({"risk": true}));
    let _ = to_the_end(&mut wizard, usual);
    home.put("a", "{ gateway: { mode: 'local', port: 21500 } }");
    let refused = wizard.finish().expect_err("refused");
    assert!(matches!(refused, NotWritten::Changed(_)), "{refused}");
    assert!(home.text("a").contains("21500"));
}

#[test]
fn starting_over_keeps_what_was_there_in_a_snapshot() {
    let home = Home::new();
    home.put("a", "{ gateway: { mode: 'local', port: 21000, auth: { token: 'old-token' } }, zebra: 1 }");
    let mut wizard =
        home.walk(Some("a"), json!({"risk": true, "existing": "over", "model.provider": "skip"}));
    let _ = to_the_end(&mut wizard, |_| Value::Null);
    let outcome = wizard.finish().unwrap_or_else(|error| panic!("{error}"));
    let text = home.text("a");
    assert!(!text.contains("zebra") && !text.contains("old-token") && text.contains("port: 21000"), "{text}");
    assert!(outcome.snapshot.is_some_and(|it| it.is_file()));
    let kept = profile::generations::last(&outcome.instance.state_dir).expect("kept");
    assert!(kept.text().expect("readable").contains("zebra"));
}
