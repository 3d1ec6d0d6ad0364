//! docs/cli.md, from the help of the command.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::PROGRAM;

/// The document that is written.
pub(super) const PATH: &str = "docs/cli.md";

/// Columns that the help is wrapped at, whatever terminal this runs in.
const COLUMNS: &str = "100";

/// No command stands deeper; a help that lists itself would go on for ever.
pub(crate) const DEEPEST: usize = 6;

const HEAD: &str = "\
# The commands

<!-- Written by `cargo xtask codegen` from the command's own help; `cargo xtask tidy` holds it current. -->
";

/// The whole reference as Markdown: a heading a command, and its help.
///
/// # Errors
/// When the program cannot show its help.
pub(super) fn text(program: &Path) -> anyhow::Result<String> {
    document(&|path| help(program, path))
}

fn document(help_of: &dyn Fn(&[String]) -> anyhow::Result<String>) -> anyhow::Result<String> {
    let mut text = HEAD.to_owned();
    describe(help_of, &[], &mut text)?;
    Ok(text)
}

fn describe(
    help_of: &dyn Fn(&[String]) -> anyhow::Result<String>,
    path: &[String],
    text: &mut String,
) -> anyhow::Result<()> {
    let help = help_of(path)?;
    let name = [&[PROGRAM.to_owned()], path].concat().join(" ");
    anyhow::ensure!(
        path.len() <= DEEPEST,
        "`{name}` stands deeper than {DEEPEST} commands: does its help list itself?"
    );
    let lines: Vec<_> = help.trim().lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n")));
    for command in commands(&help) {
        describe(help_of, &[path, &[command.to_owned()]].concat(), text)?;
    }
    Ok(())
}

/// The commands that a help lists, in its order.
pub(crate) fn commands(help: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_list = false;
    for line in help.lines() {
        if line.starts_with(|it: char| !it.is_whitespace()) {
            in_list = line.trim_end().to_lowercase().ends_with("commands:");
        } else if in_list && let Some(entry) = line.strip_prefix("  ") {
            // What a name stands before is indented deeper when it takes another line.
            let name = entry.split([' ', ',']).next().unwrap_or_default();
            if !name.is_empty() && name != "help" {
                found.push(name);
            }
        }
    }
    found
}

/// The help of a command, wrapped at the same column whatever terminal this runs in.
///
/// # Errors
/// When the program cannot show it.
pub(crate) fn help(program: &Path, path: &[String]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    // Nothing of this machine may show in the document.
    command.args(path).arg("--help").env_clear().env("COLUMNS", COLUMNS).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let name = path.join(" ");
    anyhow::ensure!(output.status.success(), "`{PROGRAM} {name} --help` failed: {}", complaint.trim());
    String::from_utf8(output.stdout).context("the help is not text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: &str = "\
The gateway

Usage: openclaw <COMMAND>

Commands:
  gateway  Run it
           and more of it
  status   Say how it is
  help     Print this message

Options:
  -h, --help  Print help
";
    const GATEWAY: &str =
        "Run it\n\nCommands:\n  run, r\n          In the foreground\n  help\n          Print\n";

    #[test]
    fn lists_commands_and_neither_options_nor_continued_lines() {
        assert_eq!(commands(TOP), ["gateway", "status"]);
        assert_eq!(commands(GATEWAY), ["run"]);
        assert_eq!(commands("Rescue commands:\n  mend  Mend it\n"), ["mend"]);
        assert!(commands("Run it\n\nOptions:\n  -h, --help\n").is_empty());
    }

    #[test]
    fn describes_every_command_once_in_order() {
        let help_of = |path: &[String]| {
            Ok(match path.join(" ").as_str() {
                "" => TOP.to_owned(),
                "gateway" => GATEWAY.to_owned(),
                other => format!("About {other}   \n\n"),
            })
        };
        let text = document(&help_of).expect("every help is there");
        let headings: Vec<_> = text.lines().filter(|it| it.starts_with("## ")).collect();
        let expected =
            ["## `openclaw`", "## `openclaw gateway`", "## `openclaw gateway run`", "## `openclaw status`"];
        assert_eq!(headings, expected);
        assert!(text.ends_with("## `openclaw status`\n\n```text\nAbout status\n```\n"), "{text}");
    }

    #[test]
    fn a_help_that_lists_itself_ends() {
        let error =
            document(&|_| Ok("Commands:\n  again  And again\n".to_owned())).expect_err("it has no end");
        assert!(error.to_string().contains("deeper than 6"), "{error}");
    }

    #[test]
    fn a_program_that_fails_is_named() {
        let error = super::text(Path::new("false")).expect_err("`false` has no help");
        assert!(error.to_string().contains("--help` failed"), "{error}");
    }
}
