//! `config history`, `diff`, `rollback`: what the config was, and back to it.

use std::collections::HashSet;
use std::process::ExitCode;

use base::clock;
use profile::document::{Change, MASK};
use profile::generations::{self, Generation};
use profile::{Document, Instance, writing};
use serde_json::json;

use super::submit::{change_line, current, submit};
use super::{WriteArgs, check};
use crate::app::App;
use crate::failure::{Failure, Kind};

const HISTORY_EXAMPLES: &str = "\
Examples:
  openclaw config history
  openclaw --profile acme config history --limit 5 --json";

const DIFF_EXAMPLES: &str = "\
Examples:
  openclaw config diff                          what the file says and no gateway has accepted yet
  openclaw config diff 3                        from generation 3 to the file
  openclaw config diff 3 5                      from one generation to another";

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  openclaw config rollback                      to the newest generation that is not what the file says
  openclaw config rollback 3 --dry-run
  openclaw config rollback 3 --why \"the new model was too slow\"";

/// From this many columns on, all of the history is shown.
const ROOMY: u16 = 70;

/// Show the configs that were accepted: who wrote each, when and why
#[derive(Debug, clap::Args)]
#[command(after_help = HISTORY_EXAMPLES)]
pub(crate) struct HistoryArgs {
    /// How many, newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what two configs say differently, secrets masked
#[derive(Debug, clap::Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArgs {
    /// From: a generation's number, `last`, or `file`
    #[arg(value_name = "A", default_value = "last")]
    from: String,

    /// To: the same
    #[arg(value_name = "B", default_value = "file")]
    to: String,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write an older config again; it becomes the newest generation
#[derive(Debug, clap::Args)]
#[command(after_help = ROLLBACK_EXAMPLES)]
pub(crate) struct RollbackArgs {
    /// The generation's number; without it, the newest that is not what the file says
    #[arg(value_name = "N")]
    number: Option<u64>,

    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

/// Runs `config history`.
pub(crate) fn list(app: &App, args: &HistoryArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let all = generations::all(&instance.state_dir);
    let file = current(instance)?.text;
    let in_file =
        file.as_deref().and_then(|text| all.iter().rev().find(|it| it.is(text))).map(|it| it.number);
    let rows: Vec<(&Generation, Vec<Change>)> = all
        .iter()
        .enumerate()
        .map(|(at, it)| (it, since(at.checked_sub(1).map(|at| &all[at]), it)))
        .collect();
    let rows = rows.iter().rev().take(args.limit);
    if args.json {
        let row = |(it, changes): &(&Generation, Vec<Change>)| {
            json!({"generation": it.number, "at": it.at, "by": it.by, "why": it.why, "changes": changes,
                   "path": it.path, "inFile": in_file == Some(it.number)})
        };
        let rows: Vec<_> = rows.map(row).collect();
        app.printer.json(&json!({"instance": instance.name, "inFile": in_file, "generations": rows}));
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() {
        app.printer.note(&format!("instance {}: no config was accepted yet", instance.name));
        return Ok(ExitCode::SUCCESS);
    }
    let cells = rows.map(|(it, changes)| {
        let count = if it.number == all[0].number { "-".to_owned() } else { changes.len().to_string() };
        let at = clock::rfc3339(it.at).replace('T', " ");
        vec![it.number.to_string(), at.trim_end_matches('Z').to_owned(), it.by.clone(), it.why.clone(), count]
    });
    table(app, cells.collect());
    let command = instance.command();
    app.printer.note(&match (in_file, &file) {
        (Some(number), _) => format!("the file is generation {number}"),
        (None, None) => format!("there is no file; put one back: {command} config rollback"),
        (None, Some(_)) => format!("the file is none of these; see: {command} config diff"),
    });
    Ok(ExitCode::SUCCESS)
}

/// Runs `config diff`.
pub(crate) fn diff(app: &App, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let before = named(instance, &args.from)?;
    let after = named(instance, &args.to)?;
    let parses = |text: &str| Document::parse(&instance.config_path, text.to_owned()).is_ok();
    if !parses(&before) || !parses(&after) {
        return lines(app, args, (&before, &after));
    }
    let changes = writing::difference(&before, &after);
    if args.json {
        app.printer.json(&json!({
            "instance": instance.name, "from": args.from, "to": args.to, "same": before == after,
            "changes": changes,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    changes.iter().for_each(|it| app.printer.line(&change_line(app, it)));
    if changes.is_empty() {
        let words = if before == after { "the same text" } else { "the same but for comments and layout" };
        app.printer.note(&format!("instance {}: {} and {} are {words}", instance.name, args.from, args.to));
    }
    Ok(ExitCode::SUCCESS)
}

/// What one text says otherwise, line by line: all that can be said where one of them does not parse.
fn lines(app: &App, args: &DiffArgs, (before, after): (&str, &str)) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let missing_in = |other: &str, line: &str| !line.trim().is_empty() && other.lines().all(|it| it != line);
    let harmless = harmless(instance, &[before, after]);
    let masked = |it: &str| masked(it, &harmless);
    let gone = before.lines().filter(|it| missing_in(after, it)).map(|it| format!("-{}", masked(it)));
    let come = after.lines().filter(|it| missing_in(before, it)).map(|it| format!("+{}", masked(it)));
    let found: Vec<String> = gone.chain(come).collect();
    if args.json {
        app.printer.json(&json!({
            "instance": instance.name, "from": args.from, "to": args.to, "same": before == after, "parses": false,
            "lines": found,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    app.printer.note(&format!("instance {}: one of them does not parse; line by line:", instance.name));
    found.iter().for_each(|it| app.printer.line(it));
    Ok(ExitCode::SUCCESS)
}

/// The texts of those that parse which are no secrets.
fn harmless(instance: &Instance, texts: &[&str]) -> HashSet<String> {
    let parsed = texts.iter().filter_map(|it| Document::parse(&instance.config_path, (*it).to_owned()).ok());
    let mut found = HashSet::new();
    for document in parsed {
        let secrets: HashSet<String> = document.secrets().into_iter().map(|it| it.1).collect();
        found.extend(document.texts().into_iter().map(|it| it.1).filter(|it| !secrets.contains(it)));
    }
    found
}

/// A line of a text that need not parse: of what stands in quotes only keys and what is known to be no secret is shown.
fn masked(line: &str, harmless: &HashSet<String>) -> String {
    let (mut shown, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(['"', '\'', '`']) {
        let (before, quoted) = rest.split_at(at);
        let quote = &quoted[..1];
        shown.push_str(before);
        let Some((text, after)) = quoted[1..].split_once(quote) else {
            // It ends on another line, or began on one.
            return format!("{shown}{MASK}");
        };
        let is_shown = harmless.contains(text) || after.trim_start().starts_with(':') && !text.contains(' ');
        let text = if is_shown { text } else { MASK };
        shown.push_str(&format!("{quote}{text}{quote}"));
        rest = after;
    }
    // A word that is no word of a config, as in the midst of a text of several lines.
    let is_long = |it: &str| it.len() >= 16 && !harmless.contains(it);
    let words: Vec<&str> = rest.split(' ').map(|it| if is_long(it) { MASK } else { it }).collect();
    shown.push_str(&words.join(" "));
    shown
}

/// Runs `config rollback`.
pub(crate) fn rollback(app: &App, args: &RollbackArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let before = current(instance)?;
    let all = generations::all(&instance.state_dir);
    let chosen = match args.number {
        Some(number) => Some(one(instance, &all, number)?),
        None => all.iter().rev().find(|it| before.text.as_deref().is_none_or(|text| !it.is(text))),
    };
    let Some(chosen) = chosen else {
        return Err(Failure::new(Kind::Failed, "there is no other config to go back to")
            .hint(format!("see: {} config history", instance.command())));
    };
    let after = parsed(instance, &format!("generation {}", chosen.number), text(chosen)?)?;
    submit(app, &before, after, &format!("rollback to generation {}", chosen.number), &args.write)
}

/// The reasons are long and may be folded; on a narrow terminal they are worth more than the rest.
fn table(app: &App, rows: Vec<Vec<String>>) {
    let head = ["GENERATION", "WHEN (UTC)", "BY", "WHY", "CHANGES"];
    if app.printer.width() >= ROOMY {
        return app.printer.table(&head, rows);
    }
    let narrow = |row: Vec<String>| vec![row[0].clone(), row[1].clone(), row[3].clone()];
    app.printer.table(&[head[0], head[1], head[3]], rows.into_iter().map(narrow).collect());
}

fn since(before: Option<&Generation>, it: &Generation) -> Vec<Change> {
    let text = |it: &Generation| it.text().unwrap_or_default();
    before.map(|before| writing::difference(&text(before), &text(it))).unwrap_or_default()
}

/// The text that a word stands for.
fn named(instance: &Instance, word: &str) -> Result<String, Failure> {
    let all = generations::all(&instance.state_dir);
    match word {
        "file" => {
            let path = instance.config_path.display();
            let text = current(instance)?.text;
            let gone = || Failure::new(Kind::Config, format!("there is no config file {path}"));
            text.ok_or_else(gone)
        }
        "last" | "in-force" => {
            let none = || {
                Failure::new(Kind::Failed, "no config was accepted yet, so there is nothing to compare with")
            };
            let last = all.last().ok_or_else(none)?;
            text(last)
        }
        other => {
            let bad = || {
                Failure::new(Kind::Usage, format!("`{other}` is no generation"))
                    .hint("name a number of `config history`, `last`, or `file`")
            };
            let number = other.parse().map_err(|_| bad())?;
            text(one(instance, &all, number)?)
        }
    }
}

fn one<'a>(instance: &Instance, all: &'a [Generation], number: u64) -> Result<&'a Generation, Failure> {
    all.iter().find(|it| it.number == number).ok_or_else(|| {
        let kept = match (all.first(), all.last()) {
            (Some(first), Some(last)) => format!("{} to {} are kept", first.number, last.number),
            _ => "none is kept".to_owned(),
        };
        Failure::new(Kind::Failed, format!("there is no generation {number}: {kept}"))
            .hint(format!("see: {} config history", instance.command()))
    })
}

fn text(it: &Generation) -> Result<String, Failure> {
    it.text().map_err(|error| {
        Failure::new(Kind::Failed, format!("generation {} cannot be read: {error}", it.number))
    })
}

fn parsed(instance: &Instance, name: &str, text: String) -> Result<Document, Failure> {
    Document::parse(&instance.config_path, text).map_err(|error| {
        check::invalid(format!("{name} does not parse"), &[check::of_unreadable(&error)])
            .hint(format!("mend it: {} config edit", instance.command()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, shown: &str) {
        let harmless = HashSet::from(["local".to_owned(), "/home/ada/.openclaw/workspace".to_owned()]);
        assert_eq!(masked(line, &harmless), shown);
    }

    #[test]
    fn of_a_text_that_does_not_parse_no_secret_is_shown_wherever_it_stands() {
        check("  mode: \"local\", port: 19001,", "  mode: \"local\", port: 19001,");
        check("  auth: { token: \"new\" },", "  auth: { token: \"***\" },");
        check("  \"brand-new\",", "  \"***\",");
        check("  \"token\": 'new', \"mode\": 'local'", "  \"token\": '***', \"mode\": 'local'");
        check("  token: \"open", "  token: ***");
        check("  0123456789abcdef0123\\", "  ***");
        check(
            "  workspace: \"/home/ada/.openclaw/workspace\"",
            "  workspace: \"/home/ada/.openclaw/workspace\"",
        );
        check("  : \"new\" token", "  : \"***\" token");
    }
}
