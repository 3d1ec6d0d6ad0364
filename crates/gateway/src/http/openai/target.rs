//! Which agent, which conversation, which model a request means.

use hyper::StatusCode;
use protocol::{Refusal, Scope};
use uuid::Uuid;

use super::super::Asked;
use super::Problem;
use crate::agents::Agents;
use crate::keys::SessionKey;

/// Parts of keys that the gateway uses itself.
const RESERVED: [&str; 3] = ["subagent:", "cron:", "acp:"];
const UNKNOWN_MODEL: &str = "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`.";

/// The agent that a `model` names; `None` where nobody has that name.
pub(super) fn agent_of<'a>(agents: &'a Agents, model: &str) -> Result<Option<&'a str>, Refusal> {
    let name = match model {
        "openclaw" => return Ok(agents.owner(None)?.map(|it| it.id.as_str())),
        "openclaw/default" => return Ok(Some(&agents.default().id)),
        _ => ["openclaw/", "openclaw:", "agent:"].iter().find_map(|it| model.strip_prefix(it)),
    };
    Ok(name.and_then(|it| known(agents, it)))
}

fn known<'a>(agents: &'a Agents, id: &str) -> Option<&'a str> {
    agents.all().iter().map(|it| it.id.as_str()).find(|it| *it == id)
}

/// The agent of a request: by a header, else by its conversation, else by its model.
pub(super) fn agent(asked: &Asked, model: Option<&str>) -> Result<String, Problem> {
    let force = asked.gateway().force();
    let agents = &force.agents;
    if let Some(id) = asked.header("x-openclaw-agent-id") {
        let found = known(agents, id).ok_or_else(|| {
            Problem::bad(format!("unknown agent id \"{}\" in x-openclaw-agent-id", base::text::line(id, 80)))
        });
        return found.map(str::to_owned);
    }
    let model = model.unwrap_or("openclaw");
    let of_key = asked.header("x-openclaw-session-key").and_then(|it| it.strip_prefix("agent:"));
    if let Some((id, _)) = of_key.and_then(|it| it.split_once(':')).filter(|_| model == "openclaw") {
        // That there is one is looked at with the key.
        return Ok(id.to_owned());
    }
    let found = agent_of(agents, model)?.ok_or_else(|| Problem::bad(UNKNOWN_MODEL))?;
    Ok(found.to_owned())
}

/// The conversation: by a header, else the user's own, else a new one. `prefix` tells the two APIs apart.
pub(super) fn session(
    asked: &Asked,
    agent: &str,
    prefix: &str,
    user: Option<&str>,
) -> Result<SessionKey, Problem> {
    if let Some(key) = asked.header("x-openclaw-session-key") {
        let key = SessionKey::parse(key, agent)?;
        let rest = key.as_str().splitn(3, ':').nth(2).unwrap_or_default().to_ascii_lowercase();
        if let Some(reserved) = RESERVED.iter().find(|it| rest.starts_with(**it)) {
            return Err(Problem::bad(format!("x-openclaw-session-key: \"{reserved}\" is the gateway's own")));
        }
        if known(&asked.gateway().force().agents, key.agent()).is_none() {
            return Err(Problem::bad(format!(
                "x-openclaw-session-key: unknown agent id \"{}\"",
                key.agent()
            )));
        }
        return Ok(key);
    }
    let user = user.map(str::trim).filter(|it| !it.is_empty());
    let key = match user {
        Some(user) => format!("agent:{agent}:{prefix}-user:{user}"),
        None => format!("agent:{agent}:{prefix}:{}", Uuid::new_v4()),
    };
    SessionKey::parse(&key, agent)
        .map_err(|_| Problem::bad("`user`: use at most 400 bytes and no control characters"))
}

/// `provider/model`, where a header names one.
pub(super) async fn model(asked: &Asked) -> Result<Option<String>, Problem> {
    let Some(named) = asked.header("x-openclaw-model") else { return Ok(None) };
    if !asked.scopes.allow(Scope::Admin) {
        let words = format!("missing scope: {}", Scope::Admin);
        return Err(Problem { status: StatusCode::FORBIDDEN, kind: "forbidden", words });
    }
    let gateway = asked.gateway();
    let name = if named.contains('/') {
        named.to_owned()
    } else {
        // Of the provider that is asked anyway.
        let own = gateway.choose_model(None).await?;
        format!("{}/{named}", own.provider.id())
    };
    gateway.named_model(&name, "x-openclaw-model").await?;
    Ok(Some(name))
}
