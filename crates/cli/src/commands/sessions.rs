//! `sessions`: the conversations of an instance, and what becomes of them.

use std::process::ExitCode;

use base::clock;
use protocol::Method;
use protocol::sessions::{
    Change, Compact, CompactParams, CompactReply, Delete, DeleteParams, DeleteReply, List, ListParams,
    ListReply, Patch, PatchParams, PatchReply,
};
use serde_json::json;

use crate::app::{App, no_answer};
use crate::failure::{Failure, Kind};

/// The most rows of one reply.
const PAGE: usize = 1000;

const EXAMPLES: &str = "\
Examples:
  openclaw sessions                                    the newest hundred
  openclaw --profile main sessions --active 120        those of the last two hours
  openclaw sessions --limit all --json
  openclaw sessions archive agent:main:scratch
  openclaw sessions delete agent:main:scratch --yes
  openclaw sessions compact agent:main:main            the model sums up what was said";

/// What `openclaw sessions` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the conversations
    List(Listing),
    /// Put conversations away: they stay, and are listed no longer
    Archive(Keys),
    /// Take conversations away with all that was said in them
    Delete(Deletion),
    /// Shorten a conversation
    Compact(Shortening),
}

#[derive(Debug, clap::Args)]
struct Listing {
    /// Only those in which anything happened in the last minutes
    #[arg(long, value_name = "MINUTES")]
    active: Option<u64>,

    /// Only those of this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Those of all agents, as without --agent
    #[arg(long, conflicts_with = "agent")]
    all_agents: bool,

    /// How many at most: a number, or all
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: usize,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Keys {
    /// Their keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Deletion {
    #[command(flatten)]
    keys: Keys,

    /// Really: nothing of them is kept
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
struct Shortening {
    /// Its key
    #[arg(value_name = "KEY")]
    key: String,

    /// Keep that many messages, and ask no model
    #[arg(long, value_name = "N")]
    max_lines: Option<usize>,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

impl SessionsArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.verb {
            None => self.listing.json,
            Some(Verb::List(it)) => it.json,
            Some(Verb::Archive(it)) => it.json,
            Some(Verb::Delete(it)) => it.keys.json,
            Some(Verb::Compact(it)) => it.json,
        }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: &SessionsArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        None => list(app, &args.listing),
        Some(Verb::List(it)) => list(app, it),
        Some(Verb::Archive(it)) => archive(app, it),
        Some(Verb::Delete(it)) => delete(app, it),
        Some(Verb::Compact(it)) => compact(app, it),
    }
}

fn call<M: Method>(app: &App, params: &M::Params) -> Result<M::Reply, Failure> {
    let instance = app.instance()?;
    let mut client = app.client()?;
    client.call::<M>(params).map_err(|error| no_answer(instance, &error))
}

fn list(app: &App, args: &Listing) -> Result<ExitCode, Failure> {
    let mut list: Option<ListReply> = None;
    loop {
        let offset = list.as_ref().map_or(0, |it| it.sessions.len());
        let params = ListParams {
            limit: Some((args.limit - offset).min(PAGE)),
            offset: Some(offset),
            active_minutes: args.active,
            agent_id: args.agent.clone(),
            ..ListParams::default()
        };
        let page = call::<List>(app, &params)?;
        let is_last = !page.has_more || offset + page.sessions.len() >= args.limit;
        match &mut list {
            None => list = Some(page),
            Some(list) => {
                list.sessions.extend(page.sessions);
                (list.has_more, list.next_offset) = (page.has_more, page.next_offset);
            }
        }
        if is_last {
            break;
        }
    }
    let mut list = list.expect("the loop asks at least once");
    list.count = list.sessions.len();
    if args.json {
        app.printer.json(&list);
        return Ok(ExitCode::SUCCESS);
    }
    let now = clock::now_ms();
    for row in &list.sessions {
        let model = format!("{}/{}", row.model_provider, row.model);
        let age = clock::span(now.saturating_sub(row.updated_at));
        let label = row.label.as_deref().unwrap_or_default();
        app.printer.line(&format!(
            "{:<40} {:>8} {:>9} tokens  {:<28} {} {label}",
            row.key, age, row.total_tokens, model, row.status
        ));
    }
    if list.sessions.is_empty() {
        app.printer.line("No conversations.");
    } else if list.has_more {
        app.printer.line(&format!("{} of {}; --limit all shows the rest", list.count, list.total_count));
    }
    Ok(ExitCode::SUCCESS)
}

fn archive(app: &App, args: &Keys) -> Result<ExitCode, Failure> {
    let mut done = Vec::new();
    for key in &args.keys {
        let params: PatchParams = PatchParams { archived: Change::Set(true), ..PatchParams::of(key) };
        let reply: PatchReply = call::<Patch>(app, &params)?;
        if !args.json {
            app.printer.line(&format!("{} is put away.", reply.key));
        }
        done.push(json!({"key": reply.key, "archived": true}));
    }
    if args.json {
        app.printer.json(&json!({"ok": true, "sessions": done}));
    }
    Ok(ExitCode::SUCCESS)
}

fn delete(app: &App, args: &Deletion) -> Result<ExitCode, Failure> {
    if !args.yes {
        let text =
            "nothing of what was said is kept: say so with --yes, or put them away with sessions archive";
        return Err(Failure::new(Kind::Usage, text));
    }
    let mut done = Vec::new();
    for key in &args.keys.keys {
        let params = DeleteParams {
            key: key.clone(),
            agent_id: None,
            delete_transcript: None,
            archived_only: false,
            expected_session_id: None,
        };
        let reply: DeleteReply = call::<Delete>(app, &params)?;
        if !args.keys.json {
            let words = if reply.deleted { "is gone" } else { "was not there" };
            app.printer.line(&format!("{} {words}.", reply.key));
        }
        done.push(json!({"key": reply.key, "deleted": reply.deleted}));
    }
    if args.keys.json {
        app.printer.json(&json!({"ok": true, "sessions": done}));
    }
    Ok(ExitCode::SUCCESS)
}

fn compact(app: &App, args: &Shortening) -> Result<ExitCode, Failure> {
    let params = CompactParams { key: args.key.clone(), agent_id: None, max_lines: args.max_lines };
    let reply: CompactReply = call::<Compact>(app, &params)?;
    if args.json {
        app.printer.json(&reply);
        return Ok(ExitCode::SUCCESS);
    }
    let line = match (&reply.kept, &reply.reason) {
        (Some(kept), _) => format!("{} was shortened; {kept} messages stay as they are.", reply.key),
        (None, reason) => format!("{}: {}", reply.key, reason.as_deref().unwrap_or("nothing to do")),
    };
    app.printer.line(&line);
    Ok(ExitCode::SUCCESS)
}

fn limit(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        text => match text.parse() {
            Ok(it) if it > 0 => Ok(it),
            _ => Err("a number from 1, or all".to_owned()),
        },
    }
}
