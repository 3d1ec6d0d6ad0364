//! `onboard`: the same steps for a person at a terminal, for lines of a pipe, for flags, and for a file of answers.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use testkit::{Base, Output, Sandbox, Script, ScriptedModel, free_base, tree};

use crate::support::{check_advised, check_refused, offline, sandbox, set_up, text};
use crate::talk::Talk;

/// The long way: what is waited for, and what is typed then. A port goes into the place of `PORT`.
const STEPS: [(&str, &str, &str); 12] = [
    ("Found on this host", "Enter: go on", "\r"),
    ("Begin with a workspace", "Do you want to go on?", "y"),
    ("", "How many questions?", "\u{1b}[B\r"),
    ("", "Base port of instance a\r\n", "\u{15}PORT\r"),
    ("", "Folder of the agent's files\r\n", "\r"),
    ("", "Who answers?\r\n", "\r"),
    ("", "Which model of OpenAI?\r\n", "\r"),
    ("Where messages come from", "Enter: go on", "\r"),
    ("", "How do clients show that they may?\r\n", "\r"),
    ("", "Token\r\n", "\r"),
    ("What runs the gateway", "Enter: go on", "\r"),
    ("", "Write this?", "\r"),
];

/// `openclaw --profile a <args>` with a terminal of its own that is this wide.
pub(crate) fn in_a_terminal(sandbox: &Sandbox, columns: u16, args: &[&str]) -> Command {
    let ours = sandbox.command(&[&["--profile", "a"], args].concat());
    let words: Vec<_> = std::iter::once(ours.get_program()).chain(ours.get_args()).collect();
    let line = words.iter().map(|it| format!("'{}'", it.display())).collect::<Vec<_>>().join(" ");
    let line = format!("stty cols {columns} rows 40; exec {line}");
    let mut command = Command::new("script");
    command.args(["-qfec", &line, "/dev/null"]).env_clear();
    command.env("TERM", "xterm").env("SHELL", "/bin/sh");
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(text(&sandbox.path().join("cwd")));
    command
}

fn with_model(model: &ScriptedModel) -> Sandbox {
    sandbox().env("OPENAI_BASE_URL", model.base_url())
}

/// Waits for the step, and nothing more.
#[track_caller]
fn meet(talk: &Talk, (earlier, needle, _): (&str, &str, &str)) {
    if earlier.is_empty() { drop(talk.hear(needle)) } else { talk.hear_after(earlier, needle) }
}

/// The config of the profile `a`, what is made anew each time and the places left out.
pub(crate) fn config(sandbox: &Sandbox, base: &Base) -> String {
    let text = fs::read_to_string(sandbox.state(Some("a")).join("openclaw.json")).expect("a config");
    let text = text.replace(sandbox.path().to_str().expect("Unicode"), "SANDBOX");
    let text = text.replace(&base.port().to_string(), "PORT");
    match text.find("token: \"") {
        Some(at) => format!("{}…{}", &text[..at], &text[at + 8 + 48..]),
        None => text,
    }
}

/// What flags make of an empty home.
fn by_flags(model: &ScriptedModel) -> String {
    let (sandbox, base) = (with_model(model), free_base());
    let port = base.port().to_string();
    let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk", "--flow", "manual"];
    let output = sandbox.run(&[&args[..], &["--gateway-port", &port, "--json"]].concat()).success();
    let said = output.json();
    assert_eq!(said["gateway"]["port"], base.port(), "{said}");
    assert_eq!((&said["instance"], &said["mode"]), (&"a".into(), &"local".into()), "{said}");
    assert_eq!(
        (&said["authChoice"], &said["model"]),
        (&"openai".into(), &"openai/scripted-1".into()),
        "{said}"
    );
    assert_eq!(said["ports"]["browserControl"], base.port() + 2, "{said}");
    assert!(output.stderr.contains("openai/scripted-1 says"), "{output}");
    config(&sandbox, &base)
}

#[test]
fn a_walk_in_a_terminal_ends_with_what_flags_would_have_made() {
    let model = ScriptedModel::start();
    let expected = by_flags(&model);
    assert!(expected.contains("model: \"openai/scripted-1\""), "{expected}");
    for columns in [80, 40] {
        let (sandbox, base) = (with_model(&model), free_base());
        let mut talk = Talk::start(in_a_terminal(&sandbox, columns, &["onboard"]));
        for step in STEPS {
            meet(&talk, step);
            talk.say(&step.2.replace("PORT", &base.port().to_string()));
        }
        let (code, said) = talk.end();
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("What to try now:") && said.contains("openclaw --profile a gateway"), "{said}");
        assert_eq!(config(&sandbox, &base), expected);
        // No colours where none are wanted, and no line that the terminal would break but for a path or a command.
        assert!(!said.contains("\u{1b}[1m") && !said.contains("\u{1b}[2m"), "{said}");
        let plain = said.replace("\u{1b}[J", "\r");
        for line in plain
            .split(['\r', '\n'])
            .filter(|it| !it.contains(['/', '\u{1b}']) && !it.starts_with("  openclaw"))
        {
            assert!(line.chars().count() <= columns.into(), "{line:?} is too wide for {columns}");
        }
        assert!(sandbox.state(Some("a")).join("workspace-a/BOOTSTRAP.md").is_file());
    }
}

#[test]
fn esc_goes_back_from_every_step_and_the_result_is_the_same() {
    let model = ScriptedModel::start();
    let expected = by_flags(&model);
    let (sandbox, base) = (with_model(&model), free_base());
    let port = base.port().to_string();
    let mut talk = Talk::start(in_a_terminal(&sandbox, 80, &["onboard"]));
    let mut backs = 0;
    for (at, step) in STEPS.into_iter().enumerate() {
        meet(&talk, step);
        if at > 0 {
            talk.say("\u{1b}");
            backs += 1;
            // The one before, again, with what was said to it as the proposal.
            let before = STEPS[at - 1];
            talk.hear_times("(back)", backs);
            talk.hear_after("(back)", before.1);
            let keys = before.2.replace("\u{1b}[B", "").replace("PORT", &port);
            talk.say(&keys);
            talk.hear_after("(back)", step.1);
        }
        talk.say(&step.2.replace("PORT", &port));
    }
    let (code, said) = talk.end();
    assert_eq!((code, said.matches("(back)").count()), (0, backs), "{said}");
    assert_eq!(config(&sandbox, &base), expected);
}

#[test]
fn ctrl_c_or_a_kill_at_any_step_leaves_nothing_behind() {
    let model = ScriptedModel::start();
    let sandbox = with_model(&model);
    let base = free_base();
    let before = tree::hash(&sandbox.home());
    for last in 0..STEPS.len() {
        let mut talk = Talk::start(in_a_terminal(&sandbox, 80, &["onboard"]));
        for step in &STEPS[..last] {
            meet(&talk, *step);
            talk.say(&step.2.replace("PORT", &base.port().to_string()));
        }
        meet(&talk, STEPS[last]);
        if last % 4 == 3 {
            // The terminal is closed.
            talk.signal(Signal::KILL);
            let _ = talk.end();
        } else {
            talk.say("\u{3}");
            let (code, said) = talk.end();
            assert!(code == 1 && said.contains("cancelled: nothing was written"), "{code} {said}");
        }
        assert_eq!(tree::hash(&sandbox.home()), before, "after {:?}", STEPS[last]);
    }
    assert!(tree::hash(&sandbox.host()).is_empty(), "nothing is claimed or recorded");
}

/// Whatever ends it: in the middle of a question, and while a model is asked.
#[test]
fn the_terminal_is_as_it_was_afterwards() {
    let model = ScriptedModel::start();
    model.otherwise(Script::new().hang());
    let sandbox = with_model(&model);
    let before = tree::hash(&sandbox.home());
    let ours = sandbox.command(&["--profile", "a", "onboard", "--accept-risk", "--flow", "quickstart"]);
    for (last, code) in [("Who answers?\r\n", 1), ("asking openai/scripted-1", 130)] {
        let mut command = in_a_terminal(&sandbox, 80, &[]);
        let words: Vec<_> = std::iter::once(ours.get_program()).chain(ours.get_args()).collect();
        let line = words.iter().map(|it| it.to_str().expect("Unicode")).collect::<Vec<_>>().join(" ");
        command = replaced(&command, &format!("trap : INT; {line}; echo \"code $?\"; stty -a"));
        let mut talk = Talk::start(command);
        talk.hear_after("Found on this host", "Enter: go on");
        talk.say("\r");
        talk.hear("Who answers?\r\n");
        if code == 130 {
            talk.say("\r");
            talk.hear("Which model of OpenAI?\r\n");
            talk.say("\r");
        }
        talk.hear(last);
        talk.say("\u{3}");
        let (_, said) = talk.end();
        assert!(said.contains(&format!("code {code}")), "{said}");
        assert!(said.contains("cancelled: nothing was written"), "{said}");
        let modes: Vec<_> = said.split_ascii_whitespace().collect();
        for mode in ["icanon", "isig", "echo", "iexten"] {
            assert!(modes.contains(&mode), "{mode} is off: {said}");
        }
        assert_eq!(tree::hash(&sandbox.home()), before);
    }
}

/// The same terminal with another line for its shell.
fn replaced(command: &Command, line: &str) -> Command {
    let mut other = Command::new(command.get_program());
    other.args(["-qfec", line, "/dev/null"]).env_clear();
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other.current_dir(command.get_current_dir().expect("it has one"));
    other
}

/// The lines that a pipe has for the long way.
fn lines(base: &Base) -> Vec<String> {
    ["yes", "2", &base.port().to_string(), "", "1", "scripted-1", "token", "", "yes"]
        .map(str::to_owned)
        .into()
}

#[test]
fn lines_of_a_pipe_answer_and_their_end_cancels() {
    let model = ScriptedModel::start();
    let expected = by_flags(&model);
    let (sandbox, base) = (with_model(&model), free_base());
    let lines = lines(&base);
    let before = tree::hash(&sandbox.home());
    for count in 0..lines.len() {
        let input = lines[..count].iter().map(|it| format!("{it}\n")).collect::<String>();
        let output = sandbox.run_with(&["--profile", "a", "onboard"], &input);
        let _ = check_refused(output, 1, &["instance a", "cancelled: nothing was written"]);
        assert_eq!(tree::hash(&sandbox.home()), before, "after {count} lines");
    }
    // A mistake does not make the next line an answer to the same question.
    let output = sandbox.run_with(&["--profile", "a", "onboard"], "yes\n2\n70000\n");
    let _ = check_refused(output, 64, &["--gateway-port", "70000"]);
    // One step back, and forth again.
    let mut typed = lines.clone();
    typed.splice(3..3, ["<".to_owned(), lines[2].clone()]);
    let output = sandbox.run_with(&["--profile", "a", "onboard"], &(typed.join("\n") + "\n")).success();
    assert!(!output.stderr.contains('\u{1b}') && !output.stdout.contains('\u{1b}'), "{output}");
    assert_eq!(config(&sandbox, &base), expected);
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_numbers() {
    let model = ScriptedModel::start();
    let (base, expected) = (free_base(), by_flags(&model));
    let sandbox = with_model(&model).env("TERM", "dumb");
    let mut talk = Talk::start(in_a_terminal(&sandbox, 40, &["onboard"]));
    let port = base.port().to_string();
    for (needle, typed) in [
        ("Found on this host", ""),
        ("yes or no", "yes"),
        ("2) Every question", "2"),
        ("Base port of instance a", &port),
        ("Folder of the agent's files", ""),
        ("1) OpenAI", ""),
        ("1) scripted-1", "1"),
        ("Where messages come from", ""),
        ("1) A token", ""),
        ("Empty: a random one is made.", ""),
        ("What runs the gateway", ""),
        ("Write this?", "yes"),
    ] {
        talk.hear(needle);
        talk.hear_after(needle, "< goes back");
        talk.say(&format!("{typed}\r"));
    }
    let (code, said) = talk.end();
    assert!(code == 0 && !said.contains('\u{1b}'), "{said}");
    assert_eq!(config(&sandbox, &base), expected);
}

#[test]
fn a_file_of_answers_does_it_as_well_and_names_what_it_does_not_know() {
    let model = ScriptedModel::start();
    let (sandbox, base, expected) = (with_model(&model), free_base(), by_flags(&model));
    let file = sandbox.path().join("answers.json5");
    let args = ["--profile", "a", "onboard", "--non-interactive", "--answers", text(&file)];
    fs::write(&file, "{ risk: true, gatway: { port: 1 } }").expect("writable");
    let _ = check_advised(sandbox.run(&args), 64, &["gatway.port"]);
    fs::write(&file, "{ risk: true, gateway: {").expect("writable");
    let _ = check_advised(sandbox.run(&args), 64, &["do not parse"]);
    let answers =
        format!("{{ risk: true, flow: 'advanced', gateway: {{ port: {} }} /* mine */ }}", base.port());
    fs::write(&file, answers).expect("writable");
    let _ = sandbox.run(&args).success();
    assert_eq!(config(&sandbox, &base), expected);
}

#[test]
fn a_wrong_key_is_told_by_the_trial_and_never_shown() {
    let model = ScriptedModel::start().key("sk-right");
    let sandbox = with_model(&model);
    let base = free_base();
    let port = base.port().to_string();
    let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk", "--gateway-port", &port];
    let before = tree::hash(&sandbox.home());
    let wrong = sandbox.run(&[&args[..], &["--openai-api-key", "sk-wrong"]].concat());
    let wrong = check_advised(wrong, 1, &["did not accept the key", "--skip-health", "nothing was written"]);
    assert!(!wrong.stderr.contains("sk-wrong"), "{wrong}");
    assert_eq!(tree::hash(&sandbox.home()), before);
    // In a terminal one may answer differently.
    let args_here = [
        "onboard",
        "--accept-risk",
        "--flow",
        "quickstart",
        "--gateway-port",
        &port,
        "--auth-choice",
        "openai",
    ];
    let mut talk = Talk::start(in_a_terminal(&sandbox, 80, &args_here));
    talk.hear_after("Found on this host", "Enter: go on");
    talk.say("\r");
    talk.hear("Key of OpenAI\r\n");
    talk.say("sk-wrong\r");
    talk.hear("did not accept the key");
    talk.hear("Answer differently");
    talk.say("a\r");
    talk.hear_after("Answer differently", "Key of OpenAI\r\n");
    talk.say("sk-right\r");
    talk.hear("openai answers: 1 model");
    talk.hear("Which model of OpenAI?");
    talk.say("\r");
    talk.hear("openai/scripted-1 says");
    talk.hear_after("What runs the gateway", "Enter: go on");
    talk.say("\r");
    talk.hear("Write this?");
    talk.say("y");
    let (code, said) = talk.end();
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("sk-wrong") && !said.contains("sk-right"), "{said}");
    let written = fs::read_to_string(sandbox.state(Some("a")).join("openclaw.json")).expect("a config");
    assert!(written.contains("sk-right"), "{written}");
}

#[test]
fn a_key_may_stay_where_it_is() {
    let model = ScriptedModel::start().key("sk-right");
    let base = free_base();
    let port = base.port().to_string();
    let sandbox =
        with_model(&model).env("OPENAI_API_KEY", "sk-right").env("GATE", "token-of-the-environment");
    let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk", "--gateway-port", &port];
    let by_name = ["--gateway-token-ref-env", "GATE", "--skip-skills", "--node-manager", "pnpm"];
    let output = sandbox.run(&[&args[..], &by_name].concat()).success();
    for flag in ["--skip-skills", "--node-manager"] {
        let words = format!("{flag} has no effect here");
        assert_eq!(output.stderr.matches(&words).count(), 1, "{output}");
    }
    let written = fs::read_to_string(sandbox.state(Some("a")).join("openclaw.json")).expect("a config");
    for words in ["${OPENAI_API_KEY}", "${GATE}"] {
        assert!(written.contains(words), "{written}");
    }
    assert!(!written.contains("sk-right") && !written.contains("token-of-the-environment"), "{written}");
    assert_eq!(sandbox.start(&["--profile", "a"], base.port()).stop(), 0);
    // Out of a file, and out of standard input.
    let file = sandbox.path().join("key.txt");
    fs::write(&file, "sk-right\n").expect("writable");
    for (key, input) in [(format!("@{}", file.display()), ""), ("-".to_owned(), "sk-right\n")] {
        let changed = [&args[..], &["--openai-api-key", &key]].concat();
        let _ = sandbox.run_with(&changed, input).success();
        let written = fs::read_to_string(sandbox.state(Some("a")).join("openclaw.json")).expect("a config");
        assert!(written.contains("\"sk-right\""), "{written}");
    }
}

#[test]
fn what_nobody_answers_is_named_with_its_flag() {
    let sandbox = offline();
    for (args, words) in [
        (&["onboard", "--non-interactive"][..], "--accept-risk"),
        (&["onboard", "--non-interactive", "--accept-risk", "--auth-choice", "groq"], "--groq-api-key"),
        (
            &["onboard", "--non-interactive", "--accept-risk", "--gateway-auth", "password"],
            "--gateway-password",
        ),
        (&["onboard", "--non-interactive", "--accept-risk", "--auth-choice", "nobody"], "--auth-choice"),
        (&["onboard", "--non-interactive", "--accept-risk", "--gateway-bind", "lan"], "--gateway-bind"),
        (&["onboard", "--mode", "remote"], "--mode"),
    ] {
        let _ = check_advised(sandbox.run(args), 64, &[words]);
    }
    assert!(tree::hash(&sandbox.home()).is_empty());
}

#[test]
fn a_port_of_another_instance_is_refused_with_both_names() {
    let sandbox = offline();
    let base = set_up(&sandbox, "first");
    let port = (base.port() + 2).to_string();
    let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk", "--gateway-port", &port];
    let _ = check_advised(sandbox.run(&args), 64, &["instance a", "instance first", &port]);
    assert!(!sandbox.state(Some("a")).exists());
}

#[test]
fn a_config_that_is_not_valid_is_shown_and_not_touched() {
    let sandbox = offline();
    let state = sandbox.state(Some("a"));
    fs::create_dir(&state).expect("a new folder");
    for (broken, words) in
        [("{ gateway: { mode: 'local', bind: 'all' } }", "gateway.bind"), ("{ gateway: ", "does not parse")]
    {
        fs::write(state.join("openclaw.json"), broken).expect("writable");
        let before = tree::hash(&sandbox.home());
        let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk"];
        let _ = check_advised(sandbox.run(&args), 78, &["openclaw.json", words]);
        assert_eq!(tree::hash(&sandbox.home()), before);
    }
}

#[test]
fn an_existing_config_is_kept_changed_or_begun_anew() {
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let path = sandbox.state(Some("a")).join("openclaw.json");
    let mine = fs::read_to_string(&path).expect("a config").replace("gateway: {", "gateway: { // mine\n");
    fs::write(&path, &mine).expect("writable");
    let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk", "--auth-choice", "skip"];
    for existing in ["keep", "change"] {
        let said = sandbox.run(&[&args[..], &["--existing", existing, "--json"]].concat()).success().json();
        assert_eq!(said["changes"], serde_json::json!([]), "{said}");
        assert_eq!(fs::read_to_string(&path).expect("there"), mine);
    }
    let port = base.port().to_string();
    let said =
        sandbox.run(&[&args[..], &["--reset", "--gateway-port", &port, "--json"]].concat()).success().json();
    assert!(!fs::read_to_string(&path).expect("there").contains("// mine"));
    let snapshot = said["snapshot"].as_str().expect("a path");
    assert!(fs::metadata(snapshot).is_ok_and(|it| it.is_file()), "{said}");
}

#[test]
fn an_instance_that_was_onboarded_runs_at_once() {
    let sandbox = offline();
    let base = free_base();
    let port = base.port().to_string();
    let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk", "--gateway-port", &port];
    let output: Output = sandbox.run(&args).success();
    assert!(output.stdout.contains("openclaw --profile a gateway"), "{output}");
    assert_eq!(sandbox.start(&["--profile", "a"], base.port()).stop(), 0);
}
