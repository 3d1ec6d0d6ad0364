//! The config from the command line, without a gateway: what is changed is shown and nothing else is touched, what is
//! wrong is refused with its place, and every config that was good can be had again.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::{Output, Sandbox};

use crate::support::{check_advised, check_refused, offline, set_up, text};

/// A secret as people have them.
const SECRET: &str = "0123456789abcdef-do-not-show";

/// A config with everything that a careless writer would lose.
fn careful(port: u16) -> String {
    format!(
        "// of acme\n{{\n  // never change this\n  gateway: {{ mode: 'local', port: {port}, auth: {{ token: \
         '{SECRET}' }} }},\n  zebra: {{ unknown: [1, /* two */ 2] }}, // ours\n  agents: {{}},\n}}\n"
    )
}

/// An instance `a` with that config.
struct Work {
    sandbox: Sandbox,
    path: PathBuf,
    port: u16,
    _base: testkit::Base,
}

impl Work {
    fn new() -> Self {
        let sandbox = offline();
        let base = set_up(&sandbox, "a");
        let path = sandbox.state(Some("a")).join("openclaw.json");
        fs::write(&path, careful(base.port())).expect("writable");
        Self { port: base.port(), sandbox, path, _base: base }
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self.sandbox.run(&[&["--profile", "a", "config"], args].concat());
        assert!(!format!("{output}").contains("0123456789"), "a secret is shown: {output}");
        output
    }

    fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).success().json()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("there")
    }
}

#[test]
fn a_value_is_set_shown_and_taken_out_and_nothing_else_is_touched() {
    let work = Work::new();
    fs::set_permissions(&work.path, fs::Permissions::from_mode(0o644)).expect("ours");
    let said = work.run(&["set", "agents.defaults.timeoutSeconds", "90", "--why", "slow models"]).success();
    assert_eq!(said.stdout, "agents.defaults.timeoutSeconds: not set → 90\n");
    assert!(said.stderr.contains("not running"), "{said}");
    assert_eq!(fs::metadata(&work.path).expect("there").permissions().mode() & 0o777, 0o600);
    let lines = careful(work.port);
    for line in lines.lines().filter(|it| !it.contains("agents")) {
        assert!(work.text().contains(line), "{line} is gone from {}", work.text());
    }
    assert_eq!(work.run(&["get", "agents.defaults.timeoutSeconds"]).success().stdout, "90\n");
    assert_eq!(work.json(&["get", "zebra.unknown[1]"]), json!(2));
    assert_eq!(work.run(&["get", "gateway.auth.token"]).success().stdout, "***\n");
    check_refused(work.run(&["get", "gateway.auth.token", "--reveal"]), 64, &["terminal only"]);
    let shown = work.sandbox.run(&["--profile", "a", "config", "get", "gateway.auth", "--reveal", "--json"]);
    assert_eq!(shown.success().json(), json!({"token": SECRET}));
    check_refused(work.run(&["get", "no.such.key"]), 1, &["no.such.key is not set"]);
    check_refused(
        work.run(&["unset", "agents.defaults.timeoutSeconds", "no.such"]),
        1,
        &["no.such is not set"],
    );
    let said = work.run(&["unset", "agents.defaults"]).success();
    assert_eq!(said.stdout, "agents.defaults.timeoutSeconds: 90 → not set\n");
    let before = work.text();
    let said = work.run(&["set", "gateway.mode", "local"]).success();
    assert!(said.stderr.contains("no change") && work.text() == before, "{said}");
}

#[test]
fn a_change_that_no_gateway_would_run_with_is_refused_with_its_place() {
    let work = Work::new();
    let before = work.text();
    let output = work.run(&["set", "gateway.port", "many"]);
    check_refused(output, 78, &["instance a: ", "was not changed", "gateway.port", "line 4", "    |    "]);
    check_refused(work.run(&["unset", "gateway.mode"]), 78, &["gateway.mode", "\"local\""]);
    check_refused(work.run(&["set", "gateway.mode.deeper", "1"]), 78, &["gateway.mode", "no object"]);
    check_advised(work.run(&["set", "a..b", "1"]), 64, &["`a..b` is no path"]);
    check_advised(work.run(&["set", "a.b"]), 64, &["name a value"]);
    check_advised(work.run(&["set", "a.b", "{a: 1}", "--strict-json"]), 64, &["no JSON"]);
    check_refused(work.run(&["set", "gateway.auth.password", "***"]), 78, &["masked", "no stored secret"]);
    let expected = ["set", "gateway.port", "1", "--expect-current-json", "2"];
    check_refused(work.run(&expected), 1, &["not as expected"]);
    check_refused(work.run(&["set", "zebra", "1", "--expect-current-absent"]), 1, &["not as expected"]);
    let managed = |args: &[&str]| {
        let mut command = work.sandbox.command(&[&["--profile", "a", "config"], args].concat());
        command.env("OPENCLAW_CONFIG_READONLY", "1");
        Output::of(command)
    };
    check_advised(
        managed(&["set", "tools.deny", "[]"]),
        78,
        &["managed elsewhere", "OPENCLAW_CONFIG_READONLY"],
    );
    let _ = managed(&["set", "tools.deny", "[]", "--dry-run"]).success();
    assert_eq!(work.text(), before);
}

#[test]
fn a_dry_run_shows_and_writes_nothing() {
    let work = Work::new();
    let before = work.text();
    let said = work.json(&["set", "tools.deny", "['exec']", "--dry-run"]);
    let change = json!([{"path": "tools.deny", "before": null, "after": "[\"exec\"]"}]);
    assert_eq!((&said["changes"], &said["written"]), (&change, &json!(false)), "{said}");
    assert_eq!(work.text(), before);
    assert_eq!(work.json(&["history"])["generations"], json!([]));
}

#[test]
fn patches_batches_and_whole_texts_keep_masked_secrets() {
    let work = Work::new();
    let patch = "{ gateway: { auth: { token: '***' } }, zebra: { unknown: null, known: { a: null, b: 1 } } }";
    let _ = work.sandbox.run_with(&["--profile", "a", "config", "patch", "-"], patch).success();
    assert!(work.text().contains(SECRET) && work.text().contains("// never change this"), "{}", work.text());
    assert_eq!(work.json(&["get", "zebra"]), json!({"known": {"b": 1}}));
    let batch = r#"[{"path": "tools.deny", "value": ["exec"]}, {"path": "models.providers.x", "value": {"apiKey": "k"}}]"#;
    let _ = work.run(&["set", "--batch-json", batch]).success();
    check_advised(
        work.run(&["set", "models.providers", "{y: {}}"]),
        64,
        &["would take x out of models.providers"],
    );
    let _ = work.run(&["set", "models.providers", "{y: {}}", "--merge"]).success();
    let reference = ["set", "models.providers.y.baseUrl", "--ref-source", "env"];
    check_advised(work.run(&reference), 64, &["--ref-id"]);
    assert_eq!(work.json(&["get", "models.providers"]), json!({"x": {"apiKey": "***"}, "y": {}}));
    let whole = work.run(&["get"]).success().stdout;
    let _ = work.sandbox.run_with(&["--profile", "a", "config", "apply"], &whole).code(64);
    let said = work.sandbox.run_with(&["--profile", "a", "config", "apply", "-"], &whole).success();
    assert!(said.stdout.is_empty() && said.stderr.contains("only comments"), "{said}");
    assert!(work.text().contains(SECRET), "{}", work.text());
}

#[test]
fn the_history_says_who_when_and_why_and_leads_back() {
    let work = Work::new();
    let first = work.text();
    let _ = work.run(&["set", "tools.deny", "['exec']", "--why", "no commands"]).success();
    let _ = work.run(&["set", "gateway.auth.token", "another-one"]).success();
    let history = work.json(&["history"]);
    let told = |it: &Value| (it["generation"].clone(), it["by"].clone(), it["why"].clone());
    let told: Vec<_> = history["generations"].as_array().expect("a list").iter().map(told).collect();
    assert_eq!(
        told,
        [
            (json!(3), json!("cli"), json!("config set gateway.auth.token")),
            (json!(2), json!("cli"), json!("no commands")),
            (json!(1), json!("hand"), json!("edited in the file")),
        ]
    );
    assert_eq!(history["inFile"], 3);
    let table = work.run(&["history"]).success();
    assert!(table.stdout.contains("no commands") && table.stderr.contains("generation 3"), "{table}");
    let said = work.run(&["diff", "1", "3"]).success();
    assert_eq!(said.stdout, "gateway.auth.token: *** → ***\ntools.deny: not set → [\"exec\"]\n");
    check_advised(work.run(&["diff", "9"]), 1, &["no generation 9", "1 to 3 are kept"]);
    let said = work.run(&["rollback", "1", "--why", "it was better"]).success();
    assert!(said.stderr.contains("generation 4") && work.text() == first, "{said}");
    let _ = work.run(&["rollback"]).success();
    assert!(work.text().contains("another-one"));
}

#[test]
fn a_config_that_does_not_parse_is_shown_and_can_be_mended() {
    let work = Work::new();
    let _ = work.run(&["set", "tools.deny", "[]"]).success();
    let good = work.text();
    let broken = format!("{{\n  gateway: {{ auth: {{ token: '{SECRET}' }} \n  port: 1 }},\n}}\n");
    fs::write(&work.path, &broken).expect("writable");
    let shown = work.run(&["diff"]).success();
    assert!(shown.stdout.contains("+  port: 1 }") && !shown.stdout.contains(SECRET), "{shown}");
    for args in [&["get", "gateway.port"][..], &["set", "a.b", "1"], &["unset", "a"], &["validate"]] {
        let output = work.run(args).code(78);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains("line 2, column ") && said.contains(": ***"), "{output}");
    }
    assert_eq!(work.run(&["file"]).success().stdout, format!("{}\n", work.path.display()));
    assert_eq!(work.json(&["history"])["inFile"], Value::Null);
    assert_eq!(work.text(), broken);
    let _ = work.run(&["rollback"]).success();
    assert_eq!(work.text(), good);
    // What was in the way is not lost either.
    let kept = fs::read_dir(work.sandbox.state(Some("a")).join("generations")).expect("there").flatten();
    let mut kept = kept.filter_map(|it| fs::read_to_string(it.path()).ok());
    assert!(kept.any(|it| it == broken));
}

#[test]
fn every_finding_of_any_file_is_shown_with_its_place() {
    let work = Work::new();
    assert!(work.run(&["validate"]).success().stdout.contains("is valid"));
    let other = work.sandbox.path().join("cwd/other.json5");
    fs::write(
        &other,
        "{ gateway: { mode: 'far',\n  bind: 'all', auth: { token: 'x' } },\n  logging: { level: 'loud' } }",
    )
    .expect("writable");
    let output = work.run(&["validate", "other.json5"]).code(78);
    for words in
        ["line 1, column 14: gateway.mode", "line 2, column 3: gateway.bind", "line 3, column 14", "3 errors"]
    {
        assert!(output.stdout.contains(words), "no {words:?}: {output}");
    }
    let found = work.run(&["validate", text(&other), "--json"]).code(78).json();
    assert_eq!((&found["valid"], &found["issues"][1]["line"]), (&json!(false), &json!(2)), "{found}");
    check_refused(work.run(&["validate", "none.json5"]), 78, &["none.json5"]);
}

#[test]
fn an_editor_works_on_a_private_copy_and_nothing_typed_is_lost() {
    let work = Work::new();
    let edit = |script: &str| {
        let mut command = work.sandbox.command(&["--profile", "a", "config", "edit"]);
        command.env("EDITOR", format!("f() {{ {script}; }}; f"));
        Output::of(command)
    };
    check_advised(work.run(&["edit"]), 64, &["VISUAL", "EDITOR"]);
    let before = work.text();
    assert!(edit("true").success().stderr.contains("no change"));
    let said = edit("stat -c mode-%a \"$1\" >&2; sed -i \"s/zebra/horse/\" \"$1\"").success();
    assert!(said.stderr.contains("mode-600") && said.stdout.contains("horse"), "{said}");
    assert_eq!(work.text(), before.replace("zebra", "horse"));
    let drafts = || -> Vec<PathBuf> {
        let all = fs::read_dir(work.sandbox.state(Some("a"))).expect("there").flatten().map(|it| it.path());
        all.filter(|it| text(it).contains("config-draft")).collect()
    };
    assert!(drafts().is_empty());
    let output =
        check_advised(edit("echo '{ gateway: ' > \"$1\""), 78, &["line ", "is kept in", "config apply"]);
    let [draft] = &drafts()[..] else { panic!("{output}") };
    assert!(
        output.stderr.contains(text(draft)) && fs::read_to_string(draft).expect("kept") == "{ gateway: \n"
    );
    fs::remove_file(draft).expect("there");
    // Somebody saves while the editor is open.
    let other = format!("sed -i s/horse/mouse/ {}; sed -i s/horse/goose/ \"$1\"", text(&work.path));
    let output = check_advised(edit(&other), 75, &["changed by somebody else", "mouse", "is kept in"]);
    assert_eq!(work.text(), before.replace("zebra", "mouse"), "{output}");
    assert!(drafts().len() == 1 && fs::read_to_string(&drafts()[0]).expect("kept").contains("goose"));
    assert_ne!(edit("false").status, 0);
}

#[test]
fn a_config_that_is_a_link_stays_one() {
    let work = Work::new();
    let real = work.sandbox.path().join("dotfiles.json5");
    fs::rename(&work.path, &real).expect("moved");
    symlink(&real, &work.path).expect("linked");
    let _ = work.run(&["set", "tools.deny", "[]"]).success();
    assert!(fs::symlink_metadata(&work.path).expect("there").is_symlink());
    assert!(fs::read_to_string(&real).expect("there").contains("deny"));
}
