//! The tasks of this repository, as `cargo xtask VERB`: install what the tests need, run everything, hold the tree
//! to its rules, write the generated documents.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal and a CI log")]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool, not the product: it reads the environment, starts programs and writes documents"
)]

mod codegen;
mod components;
mod man;
mod rust_text;
mod suite;
mod tidy;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

const HELP: &str = "\
The tasks of this repository.

Usage: cargo xtask VERB

  test [FILTER...]   install what is missing, then run every gate and every test;
                     with filters only build, and run the tests whose names contain one of them
  components         install what is missing, and print where each component is
  tidy               the rules of this tree that no compiler knows: layers, sizes, banned calls, links, coverage
  codegen            build the command and write docs/cli.md and docs/config.md from what it says
  man [DIR]          build the command and write its manual pages, into target/man where no folder is named
  help               this text

Examples:
  cargo xtask test                     what CI runs
  cargo xtask test backoff             the tests with `backoff` in their name
  env $(cargo xtask components) cargo test -p openclaw-cli --test e2e
  cargo test -p xtask                  the same rules as `tidy`, a test each";

/// Exit status for a wrong command line, as the product's own commands use it.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = arguments.split_first().map_or(("", &[][..]), |(verb, rest)| (verb.as_str(), rest));
    let outcome = match (verb, rest) {
        ("test", filters) if filters.iter().all(|it| !it.starts_with('-')) => suite::run(&root(), filters),
        ("components", []) => components::print(&root()),
        ("tidy", []) => tidy::run(&root()),
        ("codegen", []) => codegen::run(&root()),
        ("man", []) => man::run(&root(), &root().join(man::FOLDER)),
        ("man", [folder]) if !folder.starts_with('-') => man::run(&root(), &PathBuf::from(folder)),
        ("help" | "--help" | "-h", _) => {
            println!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("cargo xtask: cannot read `{}`\n\n{HELP}", arguments.join(" "));
            return ExitCode::from(USAGE);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask {verb}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    // Cargo says it at run time, also when the folder was moved after the build.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = manifest.filter(|it| it.ends_with("xtask"));
    let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    own.parent().map(PathBuf::from).unwrap_or(own)
}

/// Where this build's programs are: the folder of this one, or above its `deps` when it runs as a test.
///
/// # Errors
/// When the system cannot tell which program this is.
fn programs() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let folder = own.parent().context("this program has no folder")?;
    let above = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(above.to_path_buf())
}
