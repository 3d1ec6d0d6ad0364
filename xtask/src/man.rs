//! Manual pages, one a command, from the command's own help: the same source as docs/cli.md has, so that no page says
//! something else, and the product carries nothing for it.

use std::path::Path;

use anyhow::Context as _;

use crate::codegen::{self, PROGRAM};
use crate::suite::{cargo, succeed};

/// Where the pages are written, where no folder is named.
pub(crate) const FOLDER: &str = "target/man";
/// User commands.
const SECTION: &str = "1";

/// A page, and how its file is called.
struct Page {
    file: String,
    text: String,
}

/// A part of a help: its heading without the colon, empty for what stands before any, and its lines.
struct Part<'a> {
    heading: &'a str,
    lines: Vec<&'a str>,
}

/// An option, argument, command or example, and what is said of it.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    term: String,
    about: Vec<String>,
}

/// Builds the command and writes its pages into a folder, which is made where it is missing.
///
/// # Errors
/// When the command does not build or cannot show its help, or a page cannot be written.
pub(crate) fn run(root: &Path, folder: &Path) -> anyhow::Result<()> {
    succeed(cargo(root).args(["build", "--quiet", "--package", "openclaw-cli", "--bin", PROGRAM]))?;
    let program = crate::programs()?.join(PROGRAM);
    let mut pages = Vec::new();
    add(&|path| codegen::help(&program, path), &[], &mut pages)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for page in &pages {
        let path = folder.join(&page.file);
        std::fs::write(&path, &page.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("{} pages in {}", pages.len(), folder.display());
    Ok(())
}

/// Adds the page of a command, and those of the commands below it.
fn add(
    help_of: &dyn Fn(&[String]) -> anyhow::Result<String>,
    path: &[String],
    pages: &mut Vec<Page>,
) -> anyhow::Result<()> {
    let help = help_of(path)?;
    anyhow::ensure!(path.len() <= codegen::DEEPEST, "{}: does its help list itself?", path.join(" "));
    let below = codegen::commands(&help);
    pages.push(Page { file: format!("{}.{SECTION}", name(path)), text: page(path, &help, &below) });
    for command in &below {
        add(help_of, &[path, &[(*command).to_owned()]].concat(), pages)?;
    }
    Ok(())
}

/// `openclaw-fleet-ls`.
fn name(path: &[String]) -> String {
    [&[PROGRAM.to_owned()], path].concat().join("-")
}

fn page(path: &[String], help: &str, below: &[&str]) -> String {
    let name = name(path);
    let parts = parts(help);
    let about: Vec<&str> = parts[0].lines.iter().copied().filter(|it| !it.is_empty()).collect();
    let first = about.first().copied().unwrap_or("a command of OpenClaw");
    let mut text = format!(
        ".\\\" Written by `cargo xtask man` from the command's own help.\n.TH {} {SECTION} \"\" \"{PROGRAM} {}\" \
         \"OpenClaw\"\n.SH NAME\n{} \\- {}\n",
        safe(&name.to_uppercase()),
        env!("CARGO_PKG_VERSION"),
        safe(&name),
        safe(first)
    );
    for part in &parts[1..] {
        let list = match part.heading {
            "Usage" => {
                text.push_str(".SH SYNOPSIS\n");
                part.lines.iter().filter(|it| !it.is_empty()).for_each(|it| push(&mut text, it.trim()));
                text.push_str(".SH DESCRIPTION\n");
                about.iter().for_each(|it| push(&mut text, it));
                continue;
            }
            "Examples" => entries(&part.lines, is_example),
            _ => entries(&part.lines, is_entry),
        };
        text.push_str(&format!(".SH {}\n", safe(&part.heading.to_uppercase())));
        list.iter().for_each(|it| describe(it, &mut text));
        remarks(&part.lines, &mut text);
    }
    also(path, below, &mut text);
    text
}

/// Cuts a help at its headings: lines that are not indented and end with a colon, or begin with `Usage: `.
fn parts(help: &str) -> Vec<Part<'_>> {
    let mut parts = vec![Part { heading: "", lines: Vec::new() }];
    for line in help.lines().map(str::trim_end) {
        let is_indented = line.starts_with(' ');
        let (heading, rest) = match (line.strip_prefix("Usage: "), line.strip_suffix(':')) {
            (Some(usage), _) => (Some("Usage"), Some(usage)),
            (None, Some(heading)) if !is_indented => (Some(heading), None),
            _ => (None, Some(line)),
        };
        if let Some(heading) = heading {
            parts.push(Part { heading, lines: Vec::new() });
        }
        if let (Some(rest), Some(part)) = (rest, parts.last_mut()) {
            part.lines.push(rest);
        }
    }
    parts
}

/// Whether a line begins an option, an argument or a command: what is said of it is indented deeper.
fn is_entry(line: &str) -> bool {
    let indent = line.len() - line.trim_start().len();
    indent == 2 || (indent == 6 && line.trim_start().starts_with("--"))
}

/// Whether a line begins an example, and does not go on with what is said of the last one.
fn is_example(line: &str) -> bool {
    let command = line.trim_start().split("  ").next().unwrap_or_default();
    line.starts_with("  ") && command.split(' ').any(|it| it == PROGRAM)
}

/// The indented lines of a part as entries. What is not indented is none of them, nor what follows it.
fn entries(lines: &[&str], begins: fn(&str) -> bool) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut apart = false;
    for line in lines.iter().take_while(|it| it.is_empty() || it.starts_with(' ')) {
        let words = line.trim();
        if begins(line) {
            let (term, about) = words.split_once("  ").unwrap_or((words, ""));
            let about = Some(about.trim().to_owned()).filter(|it| !it.is_empty());
            found.push(Entry { term: term.to_owned(), about: about.into_iter().collect() });
        } else if let (Some(entry), false) = (found.last_mut(), words.is_empty()) {
            match entry.about.last_mut() {
                // An item of a list stands for itself.
                Some(last) if !apart && !words.starts_with("- ") => {
                    last.push(' ');
                    last.push_str(words);
                }
                _ => entry.about.push(words.to_owned()),
            }
        }
        apart = words.is_empty();
    }
    found
}

fn describe(entry: &Entry, text: &mut String) {
    text.push_str(&format!(".TP\n\\fB{}\\fR\n", safe(&entry.term)));
    for (at, line) in entry.about.iter().enumerate() {
        if at > 0 {
            text.push_str(".br\n");
        }
        push(text, line);
    }
}

/// What a part says behind its entries: sentences, and lines that keep their shape.
fn remarks(lines: &[&str], text: &mut String) {
    let mut as_it_is = false;
    for line in lines.iter().skip_while(|it| it.is_empty() || it.starts_with(' ')) {
        if line.starts_with(' ') != as_it_is && !line.is_empty() {
            text.push_str(if as_it_is { ".fi\n.RE\n" } else { ".RS\n.nf\n" });
            as_it_is = !as_it_is;
        }
        match (line.is_empty(), as_it_is) {
            (true, true) => {}
            (true, false) => text.push_str(".PP\n"),
            (false, true) => push(text, line.trim_start()),
            (false, false) if text.ends_with(".RE\n") => text.push_str(&format!(".PP\n{}\n", safe(line))),
            (false, false) if !text.ends_with(".PP\n") && !text.ends_with(".SH EXAMPLES\n") => {
                let begins = lines.iter().find(|it| !it.is_empty() && !it.starts_with(' ')) == Some(line);
                text.push_str(if begins { ".PP\n" } else { "" });
                push(text, line);
            }
            (false, false) => push(text, line),
        }
    }
    if as_it_is {
        text.push_str(".fi\n.RE\n");
    }
}

fn also(path: &[String], below: &[&str], text: &mut String) {
    let above = path.split_last().map(|(_, above)| name(above));
    let below = below.iter().map(|it| name(&[path, &[(*it).to_owned()]].concat()));
    let all: Vec<String> =
        above.into_iter().chain(below).map(|it| format!("\\fB{}\\fR({SECTION})", safe(&it))).collect();
    if !all.is_empty() {
        text.push_str(&format!(".SH SEE ALSO\n{}\n", all.join(",\n")));
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(&safe(line));
    text.push('\n');
}

/// A text as it is, whatever its characters mean to whoever sets the page.
fn safe(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "\\(ga").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
Look at logs

Usage: openclaw logs [OPTIONS] [NAME]...

Arguments:
  [NAME]...  The instances

Options:
  -n, --lines <N>       How many lines, of which
                        there may be none
      --profile <NAME>  The instance
      --kind <KIND>
          Whose

          Possible values:
          - a: The first
          - b: The second

Examples:
  openclaw logs main          what it said, and more of
  it
  openclaw logs

A remark that is \\ odd,
and goes on.
  .bashrc   as it is
";

    #[test]
    fn a_page_says_all_that_the_help_says() {
        let text = page(&["logs".to_owned()], HELP, &["since"]);
        for expected in [
            ".SH NAME\nopenclaw\\-logs \\- Look at logs\n",
            ".SH SYNOPSIS\nopenclaw logs [OPTIONS] [NAME]...\n.SH DESCRIPTION\nLook at logs\n",
            ".SH ARGUMENTS\n.TP\n\\fB[NAME]...\\fR\nThe instances\n",
            ".TP\n\\fB\\-n, \\-\\-lines <N>\\fR\nHow many lines, of which there may be none\n.TP\n\\fB\\-\\-profile",
            "\\fB\\-\\-kind <KIND>\\fR\nWhose\n.br\nPossible values:\n.br\n\\- a: The first\n.br\n\\- b: The second\n",
            ".SH EXAMPLES\n.TP\n\\fBopenclaw logs main\\fR\nwhat it said, and more of it\n.TP\n\\fBopenclaw logs\\fR\n",
            ".PP\nA remark that is \\e odd,\nand goes on.\n.RS\n.nf\n\\&.bashrc   as it is\n.fi\n.RE\n",
            ".SH SEE ALSO\n\\fBopenclaw\\fR(1),\n\\fBopenclaw\\-logs\\-since\\fR(1)\n",
        ] {
            assert!(text.contains(expected), "{expected}\n--- is not in\n{text}");
        }
    }

    #[test]
    fn each_command_has_a_page() {
        let help_of = |path: &[String]| {
            let list =
                if path.is_empty() { "\nCommands:\n  gateway  Run it\n  status   How it is\n" } else { "" };
            Ok(format!("About\n\nUsage: x\n{list}"))
        };
        let mut pages = Vec::new();
        add(&help_of, &[], &mut pages).expect("every help is there");
        let files: Vec<_> = pages.iter().map(|it| it.file.as_str()).collect();
        assert_eq!(files, ["openclaw.1", "openclaw-gateway.1", "openclaw-status.1"]);
    }
}
