//! `approvals`: which commands run without a person, and those that wait for one.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::clock;
use protocol::approvals::{
    Asked, List, NoParams, Pending, Policy, PolicyGet, PolicyParams, PolicySet, Resolve, ResolveParams,
};
use serde_json::{Map, Value, json};

use crate::app::{App, no_answer};
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main approvals get
  openclaw approvals allowlist add /usr/bin/uptime
  openclaw approvals allowlist add --agent main '~/tools/**/bin/rg'
  openclaw approvals set --file approvals.json
  openclaw approvals pending
  openclaw approvals resolve 5d0c… allow-once";

/// What `openclaw approvals` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ApprovalsArgs {
    #[command(subcommand)]
    verb: Verb,

    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the document, and what holds by it
    Get,
    /// Replace the document
    Set(SetArgs),
    /// Change the list of an agent
    Allowlist(ListArgs),
    /// What waits for a person
    Pending,
    /// Decide about what waits
    Resolve(ResolveArgs),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SetArgs {
    /// Read it from a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Read it from the standard input
    #[arg(long)]
    stdin: bool,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(subcommand)]
    verb: ListVerb,
}

#[derive(Debug, clap::Subcommand)]
enum ListVerb {
    /// Let a program run, with any arguments; one that runs what its arguments say still asks
    Add(EntryArgs),
    /// Take it off the list
    Remove(EntryArgs),
}

#[derive(Debug, clap::Args)]
struct EntryArgs {
    /// The program's path; `*` within a name, `**` across names, `~/` for the home
    #[arg(value_name = "PATTERN")]
    pattern: String,

    /// The agent; `*` for all
    #[arg(long, value_name = "AGENT", default_value = "*")]
    agent: String,
}

#[derive(Debug, clap::Args)]
struct ResolveArgs {
    /// As `approvals pending` shows it
    #[arg(value_name = "ID")]
    id: String,

    /// allow-once, allow-always, deny
    #[arg(value_name = "DECISION", value_parser = ["allow-once", "allow-always", "deny"])]
    decision: String,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &ApprovalsArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        Verb::Get => show(app, args.json, &call::<PolicyGet>(app, &NoParams {})?),
        Verb::Set(it) => {
            let text = read(it)?;
            let file = serde_json::from_str(&text).map_err(|error| {
                Failure::new(Kind::Usage, format!("this is no document of approvals: {error}"))
            })?;
            let before = call::<PolicyGet>(app, &NoParams {})?;
            show(app, args.json, &set(app, file, before)?);
        }
        Verb::Allowlist(it) => show(app, args.json, &change(app, &it.verb)?),
        Verb::Pending => pending(app, args.json)?,
        Verb::Resolve(it) => {
            let params = ResolveParams { id: it.id.clone(), decision: it.decision.clone() };
            let done = call::<Resolve>(app, &params)?;
            if args.json {
                app.printer.json(&done);
            } else {
                app.printer.line(&format!("{}: {}", it.id, it.decision));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn call<M: protocol::Method>(app: &App, params: &M::Params) -> Result<M::Reply, Failure> {
    let mut client = app.client()?;
    let instance = app.instance()?;
    client.call::<M>(params).map_err(|error| no_answer(instance, &error))
}

fn read(args: &SetArgs) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match &args.file {
        Some(path) => std::fs::read_to_string(path).map(|it| text = it),
        None => std::io::stdin().read_to_string(&mut text).map(|_| ()),
    };
    let from = args.file.as_ref().map_or("the standard input".to_owned(), |it| it.display().to_string());
    read.map_err(|error| Failure::new(Kind::Usage, format!("cannot read {from}: {error}")))?;
    Ok(text)
}

fn set(app: &App, file: Map<String, Value>, before: Policy) -> Result<Policy, Failure> {
    call::<PolicySet>(app, &PolicyParams { file, base_hash: Some(before.hash) })
}

fn change(app: &App, verb: &ListVerb) -> Result<Policy, Failure> {
    let (ListVerb::Add(args) | ListVerb::Remove(args)) = verb;
    let pattern = real(&args.pattern)?;
    let before = call::<PolicyGet>(app, &NoParams {})?;
    let mut file = before.file.as_object().cloned().unwrap_or_default();
    let agents = file.entry("agents").or_insert_with(|| json!({}));
    let list = agents
        .as_object_mut()
        .map(|it| it.entry(args.agent.clone()).or_insert_with(|| json!({})))
        .and_then(Value::as_object_mut)
        .map(|it| it.entry("allowlist").or_insert_with(|| json!([])))
        .and_then(Value::as_array_mut);
    let Some(list) = list else {
        return Err(Failure::new(
            Kind::Failed,
            format!("{} has no list of agent {}", before.path, args.agent),
        ));
    };
    let was = list.iter().filter(|it| it["pattern"] == pattern).count();
    match verb {
        ListVerb::Add(_) if was == 0 => {
            list.push(json!({"id": base::random::hex::<8>(), "pattern": pattern}))
        }
        ListVerb::Add(_) => {}
        ListVerb::Remove(_) if was == 0 => {
            let words = format!("{pattern} is not on the list of agent {}", args.agent);
            return Err(Failure::new(Kind::Failed, words).hint("see approvals get"));
        }
        ListVerb::Remove(_) => list.retain(|it| it["pattern"] != pattern),
    }
    set(app, file, before)
}

/// Programs are known by their own path: a link may point elsewhere tomorrow.
fn real(pattern: &str) -> Result<String, Failure> {
    if !pattern.starts_with('/') && !pattern.starts_with("~/") {
        let words = format!("{pattern} is no path: name the program's file, such as /usr/bin/uptime");
        return Err(Failure::new(Kind::Usage, words));
    }
    let found = Path::new(pattern).canonicalize().ok();
    Ok(found.map_or_else(|| pattern.to_owned(), |it| it.display().to_string()))
}

fn show(app: &App, as_json: bool, policy: &Policy) {
    if as_json {
        app.printer.json(policy);
        return;
    }
    let word = |name: &str| policy.resolved_defaults[name].as_str().unwrap_or("-").to_owned();
    app.printer.facts(&[
        ("Document", format!("{}{}", policy.path, if policy.exists { "" } else { " (not there)" })),
        ("Security", word("security")),
        ("Ask", word("ask")),
        ("Nobody answers", word("askFallback")),
    ]);
    let mut rows = Vec::new();
    for (agent, rules) in policy.file["agents"].as_object().into_iter().flatten() {
        for it in rules["allowlist"].as_array().into_iter().flatten() {
            let arguments = match (&it["commandText"], &it["argv"], &it["argPattern"]) {
                (Value::String(text), ..) => text.clone(),
                (_, Value::Array(argv), _) => json!(argv).to_string(),
                (_, _, Value::String(text)) => text.clone(),
                _ => "any".to_owned(),
            };
            rows.push(vec![agent.clone(), it["pattern"].as_str().unwrap_or("-").to_owned(), arguments]);
        }
    }
    if !rows.is_empty() {
        app.printer.table(&["AGENT", "PROGRAM", "ARGUMENTS"], rows);
    }
}

fn pending(app: &App, as_json: bool) -> Result<(), Failure> {
    let waiting = call::<List>(app, &NoParams {})?;
    if as_json {
        app.printer.json(&waiting);
        return Ok(());
    }
    if waiting.is_empty() {
        app.printer.note("nothing waits for a person");
    }
    for it in &waiting {
        app.printer.facts(&facts(it));
    }
    Ok(())
}

/// All of it: the end of a command is as much of it as its beginning. What is not seen is written out.
fn facts(it: &Pending) -> Vec<(&'static str, String)> {
    let Asked { command, resolved_path, cwd, agent_id, session_key, warning_text, .. } = &it.request;
    let text = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
    let seen = |it: char| {
        if it.is_ascii_graphic() || it == ' ' || it.is_alphanumeric() {
            it.to_string()
        } else {
            it.escape_unicode().to_string()
        }
    };
    let mut facts = vec![
        ("Id", it.id.clone()),
        ("Command", text(command).chars().map(seen).collect()),
        ("Program", text(resolved_path)),
        ("Folder", text(cwd)),
        ("Agent", text(agent_id)),
        ("Session", text(session_key)),
        ("Until", clock::rfc3339(it.expires_at_ms)),
    ];
    facts.extend(warning_text.clone().map(|it| ("Mind", it)));
    facts
}
