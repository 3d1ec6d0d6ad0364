//! What code must not say outside the one place where it is right. Each line is an invariant of ARCHITECTURE.md.

use super::{Finding, Repository};
use crate::rust_text::{find_word, is_word, line_of};
use crate::tree::Source;

/// Tools beside the product: its rules about production code are not theirs.
const TOOLS: &[&str] = &["testkit", "xtask", "benches", "fuzz"];

/// The only files of the cli that may know the daemon; every other command talks to it over the socket.
const CLI_FILES_WITH_GATEWAY: &[&str] = &[
    "crates/cli/src/complete/values.rs",
    "crates/cli/src/commands/doctor/given.rs",
    "crates/cli/src/commands/configure.rs",
    "crates/cli/src/commands/config/check.rs",
    "crates/cli/src/commands/config/schema.rs",
    "crates/cli/src/commands/fleet/create.rs",
    "crates/cli/src/commands/fleet/import.rs",
    "crates/cli/src/commands/fleet/process.rs",
    "crates/cli/src/commands/gateway/run.rs",
    "crates/cli/src/commands/gateway/service.rs",
    // The table of routes makes the test of it.
    "crates/cli/tests/e2e/http_routes.rs",
    "crates/cli/src/commands/onboard.rs",
    "crates/cli/src/commands/onboard/answers.rs",
    "crates/cli/src/commands/onboard/screen.rs",
    "crates/cli/src/commands/onboard/tell.rs",
    "crates/cli/src/commands/onboard/walk.rs",
    "crates/cli/src/commands/setup.rs",
    "crates/cli/src/quickstart/pair.rs",
];

/// Where a ban applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// The product's code, without its tests.
    Product,
    /// Tests, of the tools as well.
    Tests,
    /// All code.
    Code,
}

/// Words that code must not say.
struct Ban {
    words: &'static [&'static str],
    place: Where,
    /// Whether a literal that says so counts too.
    in_literals: bool,
    /// What may follow the word and make it harmless.
    harmless: &'static [&'static str],
    /// Paths, or beginnings of paths, where it is right.
    right_in: &'static [&'static str],
    why: &'static str,
}

const PLAIN: Ban =
    Ban { words: &[], place: Where::Product, in_literals: false, harmless: &[], right_in: &[], why: "" };

const BANS: &[Ban] = &[
    Ban {
        words: &["std::env"],
        // What the compiler knew, not what the process was given.
        harmless: &["::consts"],
        right_in: &["crates/profile/", "crates/cli/src/main.rs"],
        why: "take it from the resolved instance: only `profile` reads the environment, at the edge of the binary",
        ..PLAIN
    },
    Ban {
        words: &["println!(", "eprintln!(", "print!(", "eprint!("],
        right_in: &["crates/cli/src/printer.rs"],
        why: "print with the cli's printer, or log it",
        ..PLAIN
    },
    Ban {
        words: &["tokio::spawn", "spawn_local", "task::spawn("],
        right_in: &["crates/gateway/src/supervisor.rs"],
        why: "give a unit to the supervisor, which owns every task",
        ..PLAIN
    },
    Ban {
        words: &["fs::rename("],
        right_in: &["crates/base/src/file.rs"],
        why: "replace it with `base::file`, which survives a crash",
        ..PLAIN
    },
    Ban {
        words: &["18789", "18_789"],
        in_literals: true,
        right_in: &["crates/profile/src/ports.rs"],
        why: "take the port from the resolved instance",
        ..PLAIN
    },
    Ban {
        words: &["todo!(", "unimplemented!("],
        place: Where::Code,
        why: "write it, or refuse with an error that says so",
        ..PLAIN
    },
    Ban {
        words: &["#[ignore"],
        place: Where::Code,
        why: "a test runs everywhere, or is not a test: `cargo xtask test` installs what it needs",
        ..PLAIN
    },
    Ban {
        words: &["thread::sleep(", "time::sleep("],
        place: Where::Tests,
        why: "wait for the fact, with a deadline, not for the clock",
        ..PLAIN
    },
];

pub(super) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    Ok(banned(&repository.tree.sources(), BANS))
}

pub(super) fn check_gateway_in_cli(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    Ok(gateway_in_cli(&repository.tree.sources()))
}

fn banned(sources: &[Source<'_>], bans: &[Ban]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        for ban in bans.iter().filter(|ban| !ban.right_in.iter().any(|it| source.path.starts_with(it))) {
            let text = if ban.in_literals { &source.no_comments } else { &source.code };
            for word in ban.words {
                for at in find_word(text, word) {
                    let harmless = ban.harmless.iter().any(|it| text[at + word.len()..].starts_with(it));
                    if !harmless && ban.applies(source, at) {
                        let line = line_of(text, at);
                        findings.push(Finding::at(source.path, line, format!("`{word}`: {}", ban.why)));
                    }
                }
            }
        }
    }
    findings
}

fn gateway_in_cli(sources: &[Source<'_>]) -> Vec<Finding> {
    let in_cli =
        sources.iter().filter(|it| it.crate_name() == "cli" && !CLI_FILES_WITH_GATEWAY.contains(&it.path));
    let mut findings = Vec::new();
    for source in in_cli {
        if let Some(at) = first_use_of_gateway(&source.code) {
            findings.push(Finding::at(
                source.path,
                line_of(&source.code, at),
                "a command reaches the daemon through `protocol` only; the files that may use `gateway` are listed \
                 in xtask/src/tidy/bans.rs",
            ));
        }
    }
    findings
}

/// Where the crate `gateway` is first named. A module of the cli may have the same name: `commands::gateway::run`.
fn first_use_of_gateway(code: &str) -> Option<usize> {
    const NAME: &str = "gateway";
    let own_module = ["mod gateway", "commands::gateway", "super::gateway", "self::gateway"]
        .iter()
        .any(|it| code.contains(it));
    find_word(code, NAME).find(|&at| {
        let (before, after) = (&code[..at], &code[at + NAME.len()..]);
        let from_the_root =
            before.strip_suffix("::").is_some_and(|it| !it.ends_with(|it| is_word(it) || it == '>'));
        let imported = before.ends_with("use ") && !after.starts_with(['.', ')']);
        let in_a_path = after.starts_with("::") && !before.ends_with("::");
        from_the_root || (!own_module && (imported || in_a_path))
    })
}

impl Ban {
    fn applies(&self, source: &Source<'_>, at: usize) -> bool {
        match self.place {
            Where::Product => !source.is_test(at) && !TOOLS.contains(&source.crate_name()),
            // Figures of idle memory, and a model's pace, are made of waiting.
            Where::Tests => source.is_test(at) && source.crate_name() != "benches",
            Where::Code => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_holds_here, lines_of};
    use super::*;
    use crate::tree::Tree;

    #[track_caller]
    fn check_file(path: &str, text: &str, expected: &[&str]) {
        let tree = Tree::of(&[(path, text)]);
        let found = lines_of(banned(&tree.sources(), BANS));
        assert_eq!(found.len(), expected.len(), "{path}: {text}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.starts_with(&format!("{path}:{expected}")),
                "{found} does not begin with {expected}"
            );
        }
    }

    #[test]
    fn the_product_is_held_to_every_line() {
        let path = "crates/agent/src/lib.rs";
        for (text, expected) in [
            ("let a = std::env::var(b);", "1: `std::env`"),
            ("use std::env;", "1: `std::env`"),
            ("\nprintln!(\"a\");", "2: `println!(`"),
            ("eprintln!(\"a\");", "1: `eprintln!(`"),
            ("tokio::spawn(a);", "1: `tokio::spawn`"),
            ("set.spawn_local(a);", "1: `spawn_local`"),
            ("task::spawn(a);", "1: `task::spawn(`"),
            ("std::fs::rename(a, b);", "1: `fs::rename(`"),
            ("const A: u16 = 18789;", "1: `18789`"),
            ("const A: u16 = 18_789;", "1: `18_789`"),
            ("let a = \"http://a:18789/\";", "1: `18789`"),
            ("unimplemented!()", "1: `unimplemented!(`"),
            ("todo!(\"later\")", "1: `todo!(`"),
        ] {
            check_file(path, text, &[expected]);
            check_file("crates/agent/tests/a.rs", &format!("// {text}").replace('\n', ""), &[]);
        }
    }

    #[test]
    fn prose_and_what_only_looks_alike_is_let_through() {
        let path = "crates/agent/src/lib.rs";
        check_file(path, "//! Never `std::env::var`, nor tokio::spawn.\nlet a = \"println!(\";", &[]);
        check_file(path, "let a = std::env::consts::OS; let b = 118789; writeln!(out)?;", &[]);
        check_file(path, "#[cfg(test)]\nmod tests {\n  println!(\"{}\", 18789);\n}", &[]);
        check_file("crates/testkit/src/lib.rs", "tokio::spawn(a); println!();", &[]);
    }

    #[test]
    fn the_one_right_place_is_let_through() {
        check_file("crates/profile/src/resolve.rs", "std::env::var(a)", &[]);
        check_file("crates/cli/src/main.rs", "std::env::vars_os()", &[]);
        check_file("crates/cli/src/printer.rs", "println!()", &[]);
        check_file("crates/gateway/src/supervisor.rs", "tokio::spawn(a)", &[]);
        check_file("crates/base/src/file.rs", "fs::rename(a, b)", &[]);
        check_file("crates/profile/src/ports.rs", "18789", &[]);
    }

    #[test]
    fn tests_neither_sleep_nor_hide() {
        let tests =
            "#[cfg(test)]\nmod tests {\n  #[ignore = \"slow\"]\n  fn a() { tokio::time::sleep(b).await }\n}";
        check_file("crates/store/src/lib.rs", tests, &["3: `#[ignore`", "4: `time::sleep(`"]);
        check_file("crates/cli/tests/e2e/main.rs", "std::thread::sleep(a);", &["1: `thread::sleep(`"]);
        check_file("crates/gateway/src/lib.rs", "tokio::time::sleep(pause).await;", &[]);
    }

    #[track_caller]
    fn check_cli(path: &str, code: &str, expected: bool) {
        let tree = Tree::of(&[(path, code)]);
        assert_eq!(gateway_in_cli(&tree.sources()).len(), usize::from(expected), "{path}: {code}");
    }

    #[test]
    fn the_cli_knows_the_daemon_in_listed_files_only() {
        let path = "crates/cli/src/commands/status.rs";
        check_cli(path, "use gateway::boot;", true);
        check_cli(path, "use gateway;", true);
        check_cli(path, "use gateway as daemon;", true);
        check_cli(path, "gateway::boot::run(a)", true);
        check_cli(path, "::gateway::boot(a)", true);
        check_cli(path, "mod gateway;\nuse ::gateway::boot;", true);
        check_cli("crates/cli/tests/e2e/main.rs", "use gateway::boot;", true);
        for listed in CLI_FILES_WITH_GATEWAY {
            check_cli(listed, "use gateway::boot;", false);
        }
        check_cli("crates/testkit/src/lib.rs", "gateway::boot", false);
    }

    #[test]
    fn a_module_of_the_same_name_is_no_crate() {
        let path = "crates/cli/src/commands.rs";
        check_cli(path, "pub(crate) mod gateway;\nfn a() { gateway::run::run(args) }", false);
        check_cli(path, "use crate::commands::gateway;\ngateway::run::run(args)", false);
        check_cli(path, "crate::commands::gateway::run::run(args)", false);
        check_cli(path, "let gateway = a; gateway.stop(); app.gateway(); // gateway::x", false);
    }

    #[test]
    fn bans_hold_here() {
        assert_holds_here(check);
    }

    #[test]
    fn the_cli_holds_here() {
        assert_holds_here(check_gateway_in_cli);
    }
}
