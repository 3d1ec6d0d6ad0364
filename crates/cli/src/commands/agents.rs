//! `agents`: who answers in an instance. The running gateway writes the config, so that what is made is in force.

use std::process::ExitCode;

use clap::Subcommand;
use protocol::agents::{
    Create, CreateParams, Delete, DeleteParams, List, ListParams, ListReply, Update, UpdateParams,
};
use serde::Serialize;

use crate::app::{App, no_answer};
use crate::client::NoAnswer;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main agents list
  openclaw --profile main agents add research --model openai/gpt-5
  openclaw --profile main agents set-identity --agent research --name Ada --emoji '*'
  openclaw --profile main agents delete research --force";

/// What `openclaw agents` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    command: Option<AgentsCommand>,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
enum AgentsCommand {
    List(ListArgs),
    Add(AddArgs),
    Delete(DeleteArgs),
    SetIdentity(IdentityArgs),
}

/// List the agents
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  openclaw --profile main agents list --json")]
struct ListArgs {
    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Add an agent with a folder of its own
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  openclaw --profile main agents add research --workspace ~/research")]
struct AddArgs {
    /// For people; the id is made of it
    name: String,

    /// Its folder; one in the state folder where none is named
    #[arg(long, value_name = "DIR")]
    workspace: Option<String>,

    /// Whom it asks: provider/model; that of the defaults where none is named
    #[arg(long, value_name = "ID")]
    model: Option<String>,

    /// Nothing is asked here anyway
    #[arg(long, hide = true)]
    non_interactive: bool,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Take an agent out of the config; its conversations stay
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  openclaw --profile main agents delete research --force --files")]
struct DeleteArgs {
    /// The agent
    id: String,

    /// Really
    #[arg(long)]
    force: bool,

    /// Move its folder to the trash of the state folder
    #[arg(long)]
    files: bool,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Say how an agent presents itself
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  openclaw --profile main agents set-identity --agent main --name Ada")]
struct IdentityArgs {
    /// The agent; the only one where there is one
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// What it is called
    #[arg(long)]
    name: Option<String>,

    /// Its character, in a few words
    #[arg(long)]
    theme: Option<String>,

    /// A sign for it
    #[arg(long)]
    emoji: Option<String>,

    /// A picture: a path in its folder, an address, or data:
    #[arg(long)]
    avatar: Option<String>,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

impl AgentsArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        self.json
            || match &self.command {
                None => false,
                Some(AgentsCommand::List(it)) => it.json,
                Some(AgentsCommand::Add(it)) => it.json,
                Some(AgentsCommand::Delete(it)) => it.json,
                Some(AgentsCommand::SetIdentity(it)) => it.json,
            }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: AgentsArgs) -> Result<ExitCode, Failure> {
    let json = args.wants_json();
    match args.command.unwrap_or(AgentsCommand::List(ListArgs::default())) {
        AgentsCommand::List(_) => list(app, json),
        AgentsCommand::Add(it) => add(app, it, json),
        AgentsCommand::Delete(it) => delete(app, it, json),
        AgentsCommand::SetIdentity(it) => set_identity(app, it, json),
    }
}

fn list(app: &App, json: bool) -> Result<ExitCode, Failure> {
    let reply = all(app)?;
    if json {
        app.printer.json(&reply);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = reply.agents.iter().map(|it| {
        let mark = if it.is_default { "*" } else { "" };
        let identity = it.identity.clone().unwrap_or_default();
        let name = identity.name.or_else(|| it.name.clone()).unwrap_or_default();
        let model = it.model.as_ref().map_or("(default)", |it| it.primary.as_str());
        vec![mark.to_owned(), it.id.clone(), name, model.to_owned(), it.workspace.clone()]
    });
    app.printer.table(&["", "AGENT", "NAME", "MODEL", "FOLDER"], rows.collect());
    if reply.selection_required {
        app.printer.note("none is marked as the default: requests must name their agent");
    }
    Ok(ExitCode::SUCCESS)
}

fn add(app: &App, args: AddArgs, json: bool) -> Result<ExitCode, Failure> {
    // The folder is meant from here, and not from where the gateway runs.
    let workspace = args.workspace.map(|it| app.ambient.path(&it).display().to_string());
    let params = CreateParams { name: args.name, workspace, model: args.model, ..CreateParams::default() };
    let reply = ask::<Create>(app, &params)?;
    let line = format!(
        "agent {} of instance {} works in {}: {}",
        reply.agent_id,
        app.instance()?.name,
        reply.workspace,
        reply.effect
    );
    Ok(tell(app, json, &reply, &line))
}

fn delete(app: &App, args: DeleteArgs, json: bool) -> Result<ExitCode, Failure> {
    if !args.force {
        let command = app.instance()?.command();
        return Err(Failure::new(Kind::Usage, "nothing was deleted: it was not confirmed")
            .hint(format!("{command} agents delete {} --force", args.id)));
    }
    let params = DeleteParams { agent_id: args.id, delete_files: args.files, base_hash: None };
    let reply = ask::<Delete>(app, &params)?;
    let mut line =
        format!("agent {} of instance {} is gone: {}", reply.agent_id, app.instance()?.name, reply.effect);
    for it in &reply.failed {
        line.push_str(&format!("\n{} stays: {}", it.path, it.reason));
    }
    Ok(tell(app, json, &reply, &line))
}

fn set_identity(app: &App, args: IdentityArgs, json: bool) -> Result<ExitCode, Failure> {
    let IdentityArgs { agent, name, theme, emoji, avatar, .. } = args;
    if [&name, &theme, &emoji, &avatar].iter().all(|it| it.is_none()) {
        return Err(Failure::new(Kind::Usage, "nothing to set: name --name, --theme, --emoji or --avatar"));
    }
    let agent_id = match agent {
        Some(it) => it,
        None => {
            let reply = all(app)?;
            if reply.selection_required {
                let ids: Vec<_> = reply.agents.iter().map(|it| it.id.as_str()).collect();
                let text = format!("there are several agents: name one with --agent ({})", ids.join(", "));
                return Err(Failure::new(Kind::Usage, text));
            }
            reply.default_id
        }
    };
    let params =
        UpdateParams { agent_id, identity_name: name, theme, emoji, avatar, ..UpdateParams::default() };
    let reply = ask::<Update>(app, &params)?;
    let line = format!("agent {} of instance {}: {}", reply.agent_id, app.instance()?.name, reply.effect);
    Ok(tell(app, json, &reply, &line))
}

fn all(app: &App) -> Result<ListReply, Failure> {
    ask::<List>(app, &ListParams {})
}

/// Asks the gateway. What it refuses because of what was asked for is the caller's to mend.
fn ask<M: protocol::Method>(app: &App, params: &M::Params) -> Result<M::Reply, Failure> {
    let mut client = app.client()?;
    client.call::<M>(params).map_err(|error| match &error {
        NoAnswer::Refused(refusal) if refusal.code == protocol::Code::InvalidRequest => {
            Failure::new(Kind::Usage, refusal.message.clone())
        }
        _ => match app.instance() {
            Ok(instance) => no_answer(instance, &error),
            Err(failure) => failure,
        },
    })
}

fn tell(app: &App, json: bool, reply: &impl Serialize, line: &str) -> ExitCode {
    if json {
        app.printer.json(reply);
    } else {
        app.printer.line(line);
    }
    ExitCode::SUCCESS
}
