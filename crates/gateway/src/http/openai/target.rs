//! Which agent, which conversation, which model a request means.

use agent::DEFAULT_AGENT;
use hyper::StatusCode;
use protocol::Scope;
use uuid::Uuid;

use super::super::Asked;
use super::Problem;
use crate::keys::SessionKey;

/// Parts of keys that the gateway uses itself.
const RESERVED: [&str; 3] = ["subagent:", "cron:", "acp:"];
const UNKNOWN_MODEL: &str = "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`.";

/// The agents that a model's name may mean.
pub(super) fn agents() -> [&'static str; 1] {
    [DEFAULT_AGENT]
}

/// The agent that a `model` names.
pub(super) fn agent_of(model: &str) -> Option<&'static str> {
    let name = match model {
        "openclaw" | "openclaw/default" => DEFAULT_AGENT,
        _ => ["openclaw/", "openclaw:", "agent:"].iter().find_map(|it| model.strip_prefix(it))?,
    };
    agents().into_iter().find(|it| *it == name)
}

/// The agent of a request: by a header, else by its model.
pub(super) fn agent(asked: &Asked, model: Option<&str>) -> Result<&'static str, Problem> {
    let by_model = agent_of(model.unwrap_or("openclaw")).ok_or_else(|| Problem::bad(UNKNOWN_MODEL))?;
    match asked.header("x-openclaw-agent-id") {
        Some(id) => agents().into_iter().find(|it| *it == id).ok_or_else(|| {
            Problem::bad(format!("unknown agent id \"{}\" in x-openclaw-agent-id", base::text::line(id, 80)))
        }),
        None => Ok(by_model),
    }
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
        if !agents().contains(&key.agent()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_names_an_agent_and_nothing_else() {
        for model in ["openclaw", "openclaw/default", "openclaw/main", "openclaw:main", "agent:main"] {
            assert_eq!(agent_of(model), Some("main"), "{model}");
        }
        for model in
            ["", "gpt-4o", "openclaw/", "openclaw/other", "agent:", "OpenClaw", "main", "openclaw/main/"]
        {
            assert_eq!(agent_of(model), None, "{model}");
        }
    }
}
