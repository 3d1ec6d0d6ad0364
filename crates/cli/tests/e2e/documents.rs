//! The commands that the documents show are run as they stand there; only ports are put in the place of ports.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Base, Gateway, Output, Sandbox, free_base};

use crate::support::sandbox;

/// A reader's terminal: commands one after the other, gateways in the background.
struct Terminal {
    sandbox: Sandbox,
    gateways: Vec<Gateway>,
    ports: BTreeMap<String, Base>,
}

impl Terminal {
    fn new() -> Self {
        let sandbox = sandbox();
        let programs = sandbox.home().join("bin");
        fs::create_dir_all(&programs).expect("a folder for the program");
        symlink(env!("CARGO_BIN_EXE_openclaw"), programs.join("openclaw")).expect("the program in the path");
        Self { sandbox, gateways: Vec::new(), ports: BTreeMap::new() }
    }

    /// Runs a line of a document.
    fn enter(&mut self, line: &str) {
        let (line, port) = self.with_free_port(line);
        let mut command = self.sandbox.command(&[]);
        let mut shell = Command::new("/bin/bash");
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let programs = self.sandbox.home().join("bin");
        shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()));
        shell.current_dir(command.get_current_dir().expect("a sandbox has a folder")).arg("-c");
        command = shell;
        match port {
            Some(port) => {
                // The gateway takes the shell's place, so that its pid is the one that is stopped.
                let line = line.replacen("openclaw ", "exec openclaw ", 1);
                command.arg(line);
                self.gateways.push(Gateway::start(command, port));
            }
            None => {
                command.arg(&line);
                Output::of(command).success();
            }
        }
    }

    /// Ports are put in the place of those that are shown, which may be taken on this machine. A line that runs a
    /// gateway says so by its port.
    fn with_free_port(&mut self, line: &str) -> (String, Option<u16>) {
        let flags = ["gateway --port ", " --port ", " --gateway-port "];
        let found = flags.into_iter().find_map(|it| Some((it, line.split_once(it)?.1)));
        let Some((flag, rest)) = found else { return (line.to_owned(), None) };
        let shown = rest.split_whitespace().next().expect("a port").to_owned();
        let port = self.ports.entry(shown.clone()).or_insert_with(free_base).port();
        (line.replace(&shown, &port.to_string()), flag.starts_with("gateway").then_some(port))
    }
}

/// A document that fails in its middle leaves no gateway behind.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Output::of(self.sandbox.command(&["fleet", "stop", "--all"]));
    }
}

/// The lines of the shell blocks of a document that call the program.
fn lines(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|it| it.strip_prefix("sh\n"));
    let lines = blocks.flat_map(str::lines).map(|it| it.split(" #").next().unwrap_or_default().trim());
    lines.filter(|it| it.contains("openclaw ") && !it.starts_with("cargo ")).map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_readme_works_as_written() {
    let lines = lines(&root().join("README.md"));
    assert!(lines.len() >= 9, "the README shows commands: {lines:?}");
    let mut terminal = Terminal::new();
    for line in lines {
        // Variables name places that the profiles above have: another reader starts there.
        if line.starts_with("OPENCLAW_") {
            terminal = Terminal::new();
        }
        terminal.enter(&line);
    }
    assert_eq!(terminal.gateways.len(), 1, "the last one was started by variables alone");
}

#[test]
fn the_other_documents_work_as_written() {
    let folder = fs::read_dir(root().join("docs")).expect("the documents");
    let documents =
        folder.flatten().map(|it| it.path()).filter(|it| it.extension().is_some_and(|it| it == "md"));
    let mut count = 0;
    for document in documents {
        let mut terminal = Terminal::new();
        for line in lines(&document) {
            terminal.enter(&line);
            count += 1;
        }
    }
    assert!(count > 0, "some document shows a command");
}

/// The configs that the guide shows, in its order.
fn configs() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/configuration.md")).expect("the document");
    let blocks = text.split("```json5\n").skip(1).filter_map(|it| it.split("```").next());
    blocks.map(str::to_owned).collect()
}

#[test]
fn the_config_that_the_documents_show_is_one_that_a_gateway_runs_with() {
    let block = configs().swap_remove(0);
    let sandbox = sandbox().env("ACME_KEY", "k-1");
    let base = free_base();
    let state = sandbox.state(None);
    fs::create_dir_all(&state).expect("a state folder");
    base::file::replace(&state.join("openclaw.json"), block.as_bytes()).expect("a config");
    let mut gateway = sandbox.start(&[], base.port());
    assert_eq!(gateway.stop(), 0);
    assert!(!gateway.log().contains("warning"), "{}", gateway.log());
}

/// Validates a config with files beside it; what is said of it.
#[track_caller]
fn said_of(config: &str, beside: &[(&str, &str)]) -> String {
    let sandbox = sandbox().env("A_KEY", "k-1");
    let folder = sandbox.home();
    for (name, text) in [("shown.json5", config)].iter().chain(beside) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        base::file::replace(&path, text.as_bytes()).expect("a file");
    }
    let path = folder.join("shown.json5");
    let output = sandbox.run(&["config", "validate", path.to_str().expect("Unicode")]).success();
    format!("{}{}", output.stdout, output.stderr)
}

#[test]
fn the_includes_that_the_documents_show_are_followed() {
    let beside = [
        ("gateway.json5", "{ mode: 'local', auth: { token: 'k' } }"),
        ("agents.json5", "{ defaults: { model: 'a/b' } }"),
        ("models/fast.json5", "{ defaults: { timeoutSeconds: 9 } }"),
    ];
    let said = said_of(&configs()[1], &beside);
    assert!(said.contains("is valid") && !said.contains("warning"), "{said}");
}

#[test]
fn the_references_that_the_documents_show_are_followed() {
    let config = configs()[2].replacen('{', "{ gateway: { mode: 'local', auth: { token: 'k' } },", 1);
    let said = said_of(&config, &[("keys.json", "{\"acme\": {\"key\": \"k-2\"}}")]);
    // Neither the program nor a unit's credential is on this machine.
    let missing: Vec<_> = said.lines().filter(|it| it.starts_with("warning")).collect();
    assert!(
        matches!(missing[..], [c, d] if c.contains("providers.c.apiKey") && d.contains("providers.d.apiKey")),
        "{said}"
    );
}

/// Every file below a folder that holds a text.
fn files_with(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), needle));
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).expect("a file of ours");
            found.extend(String::from_utf8_lossy(&bytes).contains(needle).then(|| entry.path()));
        }
    }
    found
}

#[test]
fn what_a_reference_leads_to_stands_in_no_file_log_or_answer() {
    let secret = "what-the-reference-of-the-test-leads-to";
    let (sandbox, base) = (sandbox().env("A_KEY", secret), free_base());
    let state = sandbox.state(None);
    fs::create_dir_all(&state).expect("a state folder");
    let config = "{ gateway: { mode: 'local', auth: { token: { source: 'env', id: 'A_KEY' } } } }";
    base::file::replace(&state.join("openclaw.json"), config.as_bytes()).expect("a config");
    let mut gateway = sandbox.start(&[], base.port());
    let in_force = testkit::Wire::try_connect(gateway.port(), testkit::wire::connect_params(secret));
    assert!(in_force.is_ok(), "the reference was not followed: {:?}", in_force.err());
    for words in [
        &["config", "set", "logging.level", "debug"][..],
        &["config", "get", "--json", "--reveal"],
        &["gateway", "call", "config.get", "--json"],
        &["status", "--all"],
        &["doctor"],
    ] {
        let output = sandbox.run(words).success();
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output}");
    }
    assert_eq!(gateway.stop(), 0);
    assert!(!gateway.log().contains(secret), "{}", gateway.log());
    assert_eq!(files_with(sandbox.path(), secret), Vec::<PathBuf>::new());
}
