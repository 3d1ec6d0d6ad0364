//! `nodes`: the devices that do what this instance's gateway asks of them.

use std::process::ExitCode;
use std::time::Duration;

use base::clock;
use protocol::approvals::NoParams;
use protocol::nodes::{
    Describe, Invoke, InvokeParams, List, Node, NodeParams, PairApprove, PairList, PairReject, PairRemove,
    Rename, RenameParams, RequestParams,
};
use serde_json::Value;

use crate::app::{App, no_answer};
use crate::client::{Client, NoAnswer};
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main nodes status
  openclaw nodes pending
  openclaw nodes approve 5d0c…                     the node may be asked for what it has declared
  openclaw nodes invoke --node kitchen --command system.which --params '{\"bins\": [\"uname\"]}'
  openclaw nodes remove --node kitchen";

/// What `openclaw nodes` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NodesArgs {
    #[command(subcommand)]
    verb: Verb,

    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// All nodes that are known, and whether they are connected
    Status,
    /// What waits for approval, and which nodes have it
    List,
    /// What waits for approval
    Pending,
    /// What one node is and can do
    Describe(One),
    /// Let a node be asked for what it has declared
    Approve(Request),
    /// Do not
    Reject(Request),
    /// Forget a node and end its connection
    Remove(One),
    /// What people call a node
    Rename(RenameArgs),
    /// Ask a node to do something, and wait for it
    Invoke(InvokeArgs),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its id, the beginning of it, its name or its address
    #[arg(long, value_name = "ID|NAME|IP")]
    node: String,
}

#[derive(Debug, clap::Args)]
struct Request {
    /// As `nodes pending` shows it
    #[arg(value_name = "REQUEST")]
    request: String,
}

#[derive(Debug, clap::Args)]
struct RenameArgs {
    #[command(flatten)]
    one: One,

    /// The new name
    #[arg(long, value_name = "TEXT")]
    name: String,
}

#[derive(Debug, clap::Args)]
struct InvokeArgs {
    #[command(flatten)]
    one: One,

    /// What it is to do, such as system.which
    #[arg(long, value_name = "COMMAND")]
    command: String,

    /// What the command needs: a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,

    /// Milliseconds that the node may take
    #[arg(long, value_name = "MS", default_value_t = 15_000)]
    invoke_timeout: u64,

    /// By which the node knows a repetition; made up where absent
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &NodesArgs) -> Result<ExitCode, Failure> {
    let mut asking = Asking { app, json: args.json, client: None };
    match &args.verb {
        Verb::Status => asking.status()?,
        Verb::List => asking.pairs(true)?,
        Verb::Pending => asking.pairs(false)?,
        Verb::Describe(it) => asking.describe(&it.node)?,
        Verb::Approve(it) => {
            let reply = asking.call::<PairApprove>(&RequestParams { request_id: it.request.clone() })?;
            asking.tell(&reply, &format!("approved: {}", called(&reply.node)));
        }
        Verb::Reject(it) => {
            let reply = asking.call::<PairReject>(&RequestParams { request_id: it.request.clone() })?;
            asking.tell(&reply, &format!("rejected: node {}", reply.node_id));
        }
        Verb::Remove(it) => {
            let node_id = asking.find(&it.node)?.about.node_id;
            let reply = asking.call::<PairRemove>(&NodeParams { node_id })?;
            asking.tell(&reply, &format!("removed: node {}", reply.node_id));
        }
        Verb::Rename(it) => {
            let node_id = asking.find(&it.one.node)?.about.node_id;
            let reply = asking.call::<Rename>(&RenameParams { node_id, display_name: it.name.clone() })?;
            asking.tell(&reply, &format!("node {} is called {}", reply.node_id, reply.display_name));
        }
        Verb::Invoke(it) => asking.invoke(it)?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Asking<'a> {
    app: &'a App,
    json: bool,
    client: Option<Client>,
}

impl Asking<'_> {
    fn client(&mut self) -> Result<&mut Client, Failure> {
        if self.client.is_none() {
            self.client = Some(self.app.client()?);
        }
        Ok(self.client.as_mut().expect("it was just put there"))
    }

    fn call<M: protocol::Method>(&mut self, params: &M::Params) -> Result<M::Reply, Failure> {
        let called: Result<M::Reply, NoAnswer> = self.client()?.call::<M>(params);
        let instance = self.app.instance()?;
        called.map_err(|error| no_answer(instance, &error))
    }

    fn tell(&self, reply: &impl serde::Serialize, words: &str) {
        if self.json {
            self.app.printer.json(reply);
        } else {
            self.app.printer.line(words);
        }
    }

    fn find(&mut self, named: &str) -> Result<Node, Failure> {
        let nodes = self.call::<List>(&NoParams {})?.nodes;
        let fits = |it: &&Node| {
            let about = &it.about;
            let name = about.display_name.as_deref().unwrap_or_default();
            about.node_id == named
                || name.eq_ignore_ascii_case(named)
                || about.remote_ip.as_deref() == Some(named)
        };
        let mut found: Vec<&Node> = nodes.iter().filter(fits).collect();
        if found.is_empty() && named.len() >= 6 {
            found = nodes.iter().filter(|it| it.about.node_id.starts_with(named)).collect();
        }
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                Err(Failure::new(Kind::Failed, format!("no node is called {named}")).hint("see nodes status"))
            }
            many => {
                let ids: Vec<&str> = many.iter().map(|it| it.about.node_id.as_str()).collect();
                let words = format!("{} nodes are called {named}: {}", ids.len(), ids.join(", "));
                Err(Failure::new(Kind::Failed, words).hint("name one by its id"))
            }
        }
    }

    fn status(&mut self) -> Result<(), Failure> {
        let reply = self.call::<List>(&NoParams {})?;
        if self.json {
            self.app.printer.json(&reply);
            return Ok(());
        }
        self.table(&reply.nodes);
        Ok(())
    }

    fn table(&self, nodes: &[Node]) {
        if nodes.is_empty() {
            self.app.printer.note("no nodes are known");
            return;
        }
        let row = |it: &Node| {
            let state = if it.connected { "connected" } else { "away" };
            let platform = it.about.platform.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                it.about.display_name.clone().unwrap_or_else(|| "-".to_owned()),
                base::text::head(&it.about.node_id, 12).to_owned(),
                platform,
                state.to_owned(),
                it.approval_state.clone(),
                it.surface.commands.join(" "),
            ]
        };
        let head = ["NAME", "ID", "PLATFORM", "STATE", "APPROVAL", "COMMANDS"];
        self.app.printer.table(&head, nodes.iter().map(row).collect());
    }

    fn pairs(&mut self, is_whole: bool) -> Result<(), Failure> {
        let reply = self.call::<PairList>(&NoParams {})?;
        if self.json {
            self.app.printer.json(&reply);
            return Ok(());
        }
        for it in &reply.pending {
            let scopes = it.required_approve_scopes.join(" ");
            self.app.printer.facts(&[
                ("Request", it.request_id.clone()),
                (
                    "Node",
                    format!("{} ({})", it.about.display_name.as_deref().unwrap_or("-"), it.about.node_id),
                ),
                ("Commands", it.surface.commands.join(" ")),
                ("Needs", scopes),
                ("Since", clock::rfc3339(it.ts)),
            ]);
        }
        if reply.pending.is_empty() {
            self.app.printer.note("nothing waits for approval");
        }
        if is_whole {
            self.table(&reply.paired);
        }
        Ok(())
    }

    fn describe(&mut self, named: &str) -> Result<(), Failure> {
        let node_id = self.find(named)?.about.node_id;
        let node = self.call::<Describe>(&NodeParams { node_id })?;
        if self.json {
            self.app.printer.json(&node);
            return Ok(());
        }
        let text = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
        self.app.printer.facts(&[
            ("Name", text(&node.about.display_name)),
            ("Node", node.about.node_id.clone()),
            ("Platform", text(&node.about.platform)),
            ("Version", text(&node.about.version)),
            ("Address", text(&node.about.remote_ip)),
            ("State", if node.connected { "connected" } else { "away" }.to_owned()),
            ("Approval", node.approval_state.clone()),
            ("Commands", node.surface.commands.join(" ")),
            ("Waiting", node.pending_declared_commands.clone().unwrap_or_default().join(" ")),
        ]);
        Ok(())
    }

    fn invoke(&mut self, args: &InvokeArgs) -> Result<(), Failure> {
        let params: Value = serde_json::from_str(&args.params)
            .map_err(|error| Failure::new(Kind::Usage, format!("--params is no JSON: {error}")))?;
        let node_id = self.find(&args.one.node)?.about.node_id;
        let key = args.idempotency_key.clone().unwrap_or_else(base::random::hex::<16>);
        self.client()?.set_patience(Duration::from_millis(args.invoke_timeout) + Duration::from_secs(10));
        let reply = self.call::<Invoke>(&InvokeParams {
            node_id,
            command: args.command.clone(),
            params: Some(params),
            timeout_ms: Some(args.invoke_timeout),
            idempotency_key: key,
        })?;
        if self.json {
            self.app.printer.json(&reply);
        } else {
            self.app.printer.json(&reply.payload);
        }
        Ok(())
    }
}

fn called(node: &Node) -> String {
    format!("{} ({})", node.about.display_name.as_deref().unwrap_or("node"), node.about.node_id)
}
