//! `cargo xtask test`: every gate and every test, one after the other, until one fails.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use crate::components::{self, Components};
use crate::tidy;

/// Installs what is missing and runs everything; with filters, only builds and runs the tests that they name.
///
/// # Errors
/// When something is missing that cannot be installed here, and at the first step that fails.
pub(crate) fn run(root: &Path, filters: &[String]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let all = filters.is_empty();
    let mut components = None;
    step("components", || {
        components = Some(components::provide(root)?);
        Ok(())
    })?;
    let components = components.expect("the step before would have failed");
    if all {
        cargo_step(root, "format", &["fmt", "--all", "--check"])?;
        cargo_step(root, "clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    }
    cargo_step(root, "build", &["build", "--workspace"])?;
    if all {
        step("tidy", || tidy::run(root))?;
        step("deny: licences, sources and banned crates", || deny(root, &components))?;
    }
    tests(root, &components, filters)?;
    println!("\n== done in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Cargo, run in the workspace as a person's shell would run it, without an input.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).stdin(Stdio::null());
    // Cargo set these for us. Build scripts that watch them would run again for us, and again for the shell.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

fn tests(root: &Path, components: &Components, filters: &[String]) -> anyhow::Result<()> {
    if filters.is_empty() {
        // Before the tests, so that the runner closes on how many tests there were, and not on how many examples.
        step("examples in the documentation", || {
            succeed(cargo(root).args(["test", "--workspace", "--doc", "--quiet"]))
        })?;
    }
    let nextest =
        cargo(root).args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let runner: &[&str] = match nextest {
        Ok(status) if status.success() => &["nextest", "run", "--workspace", "--no-fail-fast", "--"],
        _ => &["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", "--"],
    };
    step("tests", || succeed(cargo(root).args(runner).args(filters).envs(components.variables())))
}

fn deny(root: &Path, components: &Components) -> anyhow::Result<()> {
    // Advisories are left out: they need a database from the network, and change without a change here.
    let mut command = Command::new(&components.deny);
    command.current_dir(root).stdin(Stdio::null());
    succeed(command.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
}

fn cargo_step(root: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    step(&format!("{name}: cargo {}", arguments.join(" ")), || succeed(cargo(root).args(arguments)))
}

/// Runs one step between a heading and the time it took.
fn step(heading: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("\n== {heading}");
    let begun = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("-- {word}, {:.1} s", begun.elapsed().as_secs_f64());
    outcome.with_context(|| format!("the step `{}` failed", heading.split(':').next().unwrap_or(heading)))
}

/// Runs a program to its end, its output shown.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_owned();
    let name = Path::new(&program).file_name().unwrap_or(&program).display().to_string();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    let first = command.get_args().next().map(OsStr::display).map(|it| it.to_string()).unwrap_or_default();
    anyhow::ensure!(status.success(), "`{name} {first}` ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_names_itself_and_what_failed() {
        let error = step("build: everything", || succeed(Command::new("sh").args(["-c", "exit 3"])));
        let text = format!("{:#}", error.expect_err("the program fails"));
        assert_eq!(text, "the step `build` failed: `sh -c` ended with exit status: 3");
        step("build", || succeed(&mut Command::new("true"))).expect("the program ends well");
    }

    #[test]
    fn cargo_is_run_as_a_shell_would_run_it() {
        let command = cargo(Path::new("."));
        let removed: Vec<_> =
            command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        // This test itself runs under cargo, which set them.
        assert!(removed.iter().any(|it| *it == "CARGO_PKG_NAME"), "{removed:?}");
        assert!(removed.iter().all(|it| *it != "CARGO_HOME"), "{removed:?}");
    }
}
