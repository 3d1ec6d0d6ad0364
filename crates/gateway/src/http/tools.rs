//! `POST /tools/invoke`: one tool, without a turn. What runs programs or rules the gateway is not to be had here, unless
//! the config says so.

use std::time::Duration;

use agent::tools::{Risk, Tool};
use agent::{Workbench, workspace};
use hyper::StatusCode;
use providers::ToolCall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tracing::info;
use uuid::Uuid;

use super::Asked;
use super::body::{self, Wanted};
use super::reply::{Answer, json_answer};
use crate::agents::Agent;
use crate::approvals::{Held, Wish, guarded};
use crate::force::Force;
use crate::keys::SessionKey;

/// Not to be had over HTTP, whatever agents may use.
const DENIED: [&str; 12] = [
    "exec",
    "spawn",
    "shell",
    "fs_write",
    "fs_delete",
    "fs_move",
    "apply_patch",
    "sessions_spawn",
    "sessions_send",
    "cron",
    "gateway",
    "nodes",
];

/// Which tools are to be had over HTTP.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Tools that are to be had although they run programs or rule the gateway.
    pub allow: Vec<String>,
    /// Tools that are not to be had over HTTP, whatever agents may use.
    pub deny: Vec<String>,
}

/// The body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    name: Option<String>,
    tool: Option<String>,
    action: Option<String>,
    #[serde(default)]
    args: Option<Map<String, Value>>,
    session_key: Option<String>,
    agent_id: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// Reads a body: what it says, and the tool that it names.
fn read(bytes: &[u8]) -> Result<(Request, String), String> {
    let request: Request = body::read(bytes).map_err(|words| format!("bad body: {words}"))?;
    let name = request.name.as_deref().or(request.tool.as_deref()).map(str::trim).filter(|it| !it.is_empty());
    let name = name.ok_or("tools.invoke requires name")?.to_owned();
    Ok((request, name))
}

/// What a body asks for.
pub(super) fn wanted(bytes: &[u8]) -> Result<Wanted, String> {
    let (request, name) = read(bytes)?;
    let args = Value::Object(request.args.unwrap_or_default());
    Ok(Wanted { message: name, before: body::size(&args), tools: Vec::new() })
}

/// Answers.
pub(super) async fn invoke(asked: Asked) -> Answer {
    attempt(&asked).await.unwrap_or_else(|it| *it)
}

async fn attempt(asked: &Asked) -> Result<Answer, Box<Answer>> {
    let bad = |words: &str| refused(StatusCode::BAD_REQUEST, "invalid_request", words);
    let (request, name) = read(&asked.body).map_err(|words| bad(&words))?;
    let name = name.as_str();
    let gateway = asked.gateway();
    let key = request.session_key.as_deref().unwrap_or(crate::keys::MAIN);
    let key = gateway.key_of(key, request.agent_id.as_deref()).map_err(|it| bad(&it.message))?;
    let agent = gateway.agent(Some(key.agent())).map_err(|it| bad(&it.message))?;
    if request.agent_id.as_deref().is_some_and(|it| it.trim() != agent.id) {
        return Err(bad("agentId and sessionKey must name one agent that there is"));
    }
    let force = gateway.force();
    let tool = available(&force, &agent, name).ok_or_else(|| {
        let words = format!("Tool not available: {}", base::text::line(name, 80));
        refused(StatusCode::NOT_FOUND, "not_found", &words)
    })?;
    let mut args = request.args.unwrap_or_default();
    if let Some(action) =
        request.action.filter(|_| tool.spec().parameters["properties"]["action"].is_object())
    {
        args.entry("action").or_insert(json!(action));
    }
    if request.dry_run {
        return Ok(json_answer(
            StatusCode::OK,
            &json!({"ok": true, "dryRun": true, "tool": name, "args": args}),
        ));
    }
    run(asked, &agent, &key, (tool, Value::Object(args))).await
}

fn available(force: &Force, agent: &Agent, name: &str) -> Option<&'static dyn Tool> {
    let over_http = &force.config.gateway.tools;
    let is = |list: &[String]| list.iter().any(|it| it == name);
    if is(&over_http.deny) || DENIED.contains(&name) && !is(&over_http.allow) {
        return None;
    }
    agent.tools(&force.config.tools).into_iter().find(|it| it.spec().name == name)
}

/// Who hangs up stops it.
async fn run(
    asked: &Asked,
    agent: &Agent,
    key: &SessionKey,
    (tool, args): (&'static dyn Tool, Value),
) -> Result<Answer, Box<Answer>> {
    let gateway = asked.gateway();
    let force = gateway.force();
    let broken = |words: String| refused(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", &words);
    workspace::seed(&agent.workspace, force.config.agents.defaults.skip_bootstrap)
        .map_err(|error| broken(format!("the workspace cannot be used: {}", base::text::chain(&error))))?;
    let limit = Duration::from_secs(force.config.tools.exec.timeout_sec);
    let bench = Workbench::open(&agent.workspace, gateway.ambient.child(&gateway.instance.name), limit)
        .map_err(|error| broken(format!("the workspace cannot be opened: {error}")))?;
    let name = tool.spec().name;
    let (held, id) = (Held::default(), format!("invoke-{}", Uuid::new_v4()));
    let running = if tool.risk() == Risk::Executes {
        // No way around the people who may have a say in it.
        let call = ToolCall { id: id.clone(), name: name.to_string(), arguments: args.to_string() };
        let wish = Wish { gateway, key, run_id: &id, bench: &bench, held: &held };
        guarded(tool, &call, wish)
    } else {
        tool.run(args, &bench)
    };
    let Some(outcome) = asked.gone.run_until_cancelled(running).await else {
        return Err(refused(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"));
    };
    info!(tool = %name, failed = outcome.is_error, "a tool was invoked over HTTP");
    if outcome.is_error {
        return Err(refused(StatusCode::BAD_REQUEST, "tool_error", &outcome.text));
    }
    let result = json!({"content": [{"type": "text", "text": outcome.text}], "details": outcome.details});
    Ok(json_answer(StatusCode::OK, &json!({"ok": true, "result": result})))
}

fn refused(status: StatusCode, kind: &str, words: &str) -> Box<Answer> {
    json_answer(status, &json!({"ok": false, "error": {"type": kind, "message": words}})).into()
}
