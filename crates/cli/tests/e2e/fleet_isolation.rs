//! What is done to one instance by its name reaches no other, whatever surrounds the command. Seen from outside, by
//! the system calls.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use testkit::trace::trace;
use testkit::{Gateway, Output, Script, Trace, tree};

use crate::fleet_world::World;
use crate::scene::said;
use crate::support::text;

/// The calls by which a file or folder comes, goes or changes.
const CHANGES: [&str; 8] =
    ["O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC", " mkdir", " unlink", " rename", "AF_UNIX"];
/// Of another instance, whoever needs to know its name and its ports may read these.
const READ: [&str; 4] = ["openclaw.json", "b.json", "ledger.json", "gateway.lock"];
/// The number of the other instance's base port.
const THEIRS: u16 = 8;

/// How the other instance is led to its places.
#[derive(Debug, Clone, Copy)]
enum How {
    Profile,
    Default,
    Environment,
}

/// The other instance: it runs, it has a conversation, and nobody means it.
struct Other {
    gateway: Gateway,
    /// All of it is below this.
    root: PathBuf,
    environment: Vec<(&'static str, String)>,
    before: BTreeMap<PathBuf, String>,
}

impl Other {
    #[track_caller]
    fn start(world: &World, how: How) -> Other {
        let (sandbox, port) = (&world.sandbox, world.port(THEIRS));
        let (root, state) = match how {
            How::Profile => (sandbox.state(Some("b")), sandbox.state(Some("b"))),
            How::Default => (sandbox.state(None), sandbox.state(None)),
            How::Environment => (sandbox.path().join("theirs"), sandbox.path().join("theirs/b-state")),
        };
        let config = match how {
            How::Environment => root.join("b.json"),
            How::Profile | How::Default => state.join("openclaw.json"),
        };
        let mut environment = vec![
            ("OPENCLAW_STATE_DIR", text(&state).to_owned()),
            ("OPENCLAW_CONFIG_PATH", text(&config).to_owned()),
        ];
        let ask = |words: &[&str]| {
            let mut command = sandbox.command(words);
            command.envs(environment.iter().map(|(name, value)| (name, value)));
            command
        };
        let _ = Output::of(ask(&["setup", "--port", &port.to_string()])).success();
        let gateway = Gateway::start(ask(&["gateway", "run"]), port);
        let _ = Output::of(ask(&["agent", "--message", "hello"])).success();
        // The store answers in order: what the turn had to save is saved.
        let _ = Output::of(ask(&["gateway", "call", "sessions.list"])).success();
        let secret = token_of(&config);
        environment.extend([
            ("OPENCLAW_PROFILE", if matches!(how, How::Profile) { "b" } else { "default" }.to_owned()),
            ("OPENCLAW_GATEWAY_PORT", port.to_string()),
            ("OPENCLAW_GATEWAY_TOKEN", secret.clone()),
            ("OPENCLAW_GATEWAY_PASSWORD", secret),
        ]);
        for name in
            ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"]
        {
            environment.push((name, text(&state).to_owned()));
        }
        let before = tree::hash(&root);
        Other { gateway, root, environment, before }
    }

    /// `openclaw fleet <args>` with all that a child of this instance might have inherited, in its folder.
    fn poisoned(&self, world: &World, args: &[&str]) -> Command {
        let mut command = world.command(args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(&self.root);
        command
    }

    /// Runs it to its end, traced, and looks at what it did. What may change is below one of `ours`, or begins like it.
    #[track_caller]
    fn act(&self, world: &World, args: &[&str], ours: &[PathBuf]) -> Output {
        let (output, trace) = trace(self.poisoned(world, args));
        let output = output.success();
        self.check(&args.join(" "), &trace, ours);
        output
    }

    #[track_caller]
    fn check(&self, what: &str, trace: &Trace, ours: &[PathBuf]) {
        let theirs: Vec<String> = trace.touched(&self.root);
        let reads = |line: &String| {
            let is_known = READ.iter().any(|it| line.contains(&format!("{it}\"")));
            let is_folder = line.contains("O_DIRECTORY");
            (is_known || is_folder) && !CHANGES.iter().any(|it| line.contains(it))
        };
        let touched: Vec<&String> =
            theirs.iter().filter(|it| !reads(it) && !it.contains("_port=htons(")).collect();
        assert!(touched.is_empty(), "{what} touched the other instance:\n{touched:#?}");
        let port = self.gateway.port();
        let ports = [trace.connected_ports(), trace.bound_ports()].concat();
        assert!(!ports.iter().any(|it| (port..port + 5).contains(it)), "{what} used its ports: {ports:?}");
        let changes = trace.lines.iter().filter(|line| CHANGES.iter().any(|it| line.contains(it)));
        let known: HashSet<String> =
            [Path::new("/dev"), Path::new("/proc")].iter().flat_map(|it| trace.touched(it)).collect();
        let is_ours = |line: &&String| {
            ours.iter().any(|it| {
                let it = it.display();
                line.contains(&format!("\"{it}")) || line.contains(&format!("<{it}"))
            })
        };
        let elsewhere: Vec<&String> = changes.filter(|it| !is_ours(it) && !known.contains(*it)).collect();
        assert!(elsewhere.is_empty(), "{what} changed something elsewhere:\n{elsewhere:#?}");
        assert_eq!(tree::hash(&self.root), self.before, "{what}");
    }

    #[track_caller]
    fn check_unharmed(&self) {
        assert_eq!(tree::hash(&self.root), self.before);
        assert!(self.gateway.is_running());
        let refused = self.gateway.log().lines().any(|it| it.contains("warning") || it.contains("error"));
        assert!(!refused, "{}", self.gateway.log());
    }
}

/// The token of a config that the program wrote, wherever it is.
#[track_caller]
fn token_of(config: &Path) -> String {
    let text = fs::read_to_string(config).expect("a config");
    let token = text.split("token: \"").nth(1).and_then(|it| it.split('"').next());
    token.unwrap_or_else(|| panic!("no token in {text}")).to_owned()
}

#[test]
fn what_is_done_to_a_profile_by_name_reaches_no_other_profile() {
    check_apart(How::Profile);
}

#[test]
fn what_is_done_to_a_profile_by_name_does_not_reach_the_default_instance() {
    check_apart(How::Default);
}

#[test]
fn what_is_done_to_a_profile_by_name_does_not_reach_one_that_is_known_by_its_paths_alone() {
    check_apart(How::Environment);
}

#[track_caller]
fn check_apart(how: How) {
    let world = World::new();
    let other = Other::start(&world, how);
    let host = world.sandbox.host();
    let [a, c, d] = ["a", "c", "d"].map(|it| world.state(it));
    let file = world.sandbox.path().join("a.tar.gz");
    let (port, next) = (world.port(0).to_string(), world.port(1).to_string());
    let file_text = text(&file).to_owned();
    // The draft of a file stands beside it.
    let output = [file.clone(), world.sandbox.path().join(".a.tar.gz.")];
    let ours = |more: &[&PathBuf]| [&[&host][..], more].concat().into_iter().cloned().collect::<Vec<_>>();

    other.act(&world, &["create", "a", "--port", &port], &ours(&[&a]));
    let pid = talk(&world, &other, &a);
    for words in [&["ls", "--json"][..], &["why", "a"], &["claims"], &["ports"]] {
        check_listing(&world, &other, words);
    }
    let with_output = ours(&[&a, &output[0], &output[1]]);
    other.act(&world, &["snapshot", "a", "--output", &file_text], &with_output);
    other.act(&world, &["clone", "a", "c", "--port", &next], &ours(&[&a, &c]));
    other.act(&world, &["rename", "c", "d"], &ours(&[&c, &d]));
    other.act(&world, &["repair"], &ours(&[&a, &c, &d]));
    other.act(&world, &["rm", "d", "--confirm", "d"], &ours(&[&d]));
    let stopped = other.act(&world, &["rm", "a", "--confirm", "a"], &ours(&[&a]));
    assert!(stopped.stderr.contains(&format!("stopped (pid {pid}, ")), "{stopped}");
    other.act(&world, &["restore", &file_text, "--as", "d", "--port", &port], &ours(&[&d]));
    let names = world.names();
    assert!(names.contains(&"d".to_owned()) && names.len() == 2, "{names:?}");
    other.check_unharmed();
    let history = world.history("d");
    assert!(history.iter().any(|it| it == "user: look around"), "{history:?}");
}

/// Starts `a` in the other's surroundings, changes its config by hand, and lets its agent look around.
#[track_caller]
fn talk(world: &World, other: &Other, state: &Path) -> u32 {
    let config = state.join("openclaw.json");
    let made = fs::read_to_string(&config).expect("it was made");
    let url = world.model.base_url();
    let models = format!(
        "models: {{ providers: {{ scripted: {{ baseUrl: '{url}', apiKey: 'sk-test', models: [{{ id: 'scripted-1', \
         contextWindow: 32000 }}] }} }} }},\n  agents: {{"
    );
    crate::scene::write(&config, &made.replace("agents: {", &models));
    let started = Output::of(other.poisoned(world, &["start", "a", "--json"])).success().json();
    let pid = crate::fleet_world::number(&started["instances"][0]["result"]["pid"]);
    let call = Script::new().call("exec", json!({"command": "env; pwd"}));
    world.model.on("look around", call.then(Script::new().text("seen")));
    let mut person = world.person("a");
    let end = person.ask("main", "look around");
    assert_eq!(said(&end), "final: seen", "{end}");
    let seen = person.history("main").join("\n");
    assert!(seen.contains(text(&state.join("workspace-a"))), "{seen}");
    let told = |it: &&str| it.split('=').any(|it| Path::new(it).starts_with(&other.root));
    let told: Vec<&str> = seen.lines().filter(told).collect();
    assert!(told.is_empty(), "the other instance's places are told: {told:?}");
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("it runs");
    let environment = String::from_utf8_lossy(&environment);
    let inherited: Vec<&str> = environment.split('\0').filter(|it| it.starts_with("OPENCLAW_")).collect();
    assert_eq!(inherited, [format!("OPENCLAW_HOST_DIR={}", world.sandbox.host().display())]);
    pid
}

/// Who lists all may ask all, and changes nothing. That a port is free is tried out, as no other way is sure.
#[track_caller]
fn check_listing(world: &World, other: &Other, words: &[&str]) {
    let (output, trace) = trace(other.poisoned(world, words));
    let output = output.success();
    assert_eq!(tree::hash(&other.root), other.before, "{words:?}");
    assert_eq!(trace.connected_ports(), [0_u16; 0], "{words:?}");
    let changes = ["O_CREAT", "O_TRUNC", " mkdir", " unlink", " rename"];
    let changed: Vec<_> =
        trace.lines.iter().filter(|it| changes.iter().any(|word| it.contains(word))).collect();
    assert!(changed.is_empty(), "{words:?} changed something: {changed:#?}");
    assert!(output.stdout.contains('a'), "{output}");
}
