//! `/v1/models`: the agents, under the names by which they are asked.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::reply::{Answer, error, json_answer};
use super::super::{Asked, decoded};
use super::target::agent_of;

/// All of them.
pub(crate) fn models(asked: &Asked) -> Answer {
    let own = ["openclaw", "openclaw/default"].map(str::to_owned);
    let force = asked.gateway().force();
    let names = own.into_iter().chain(force.agents.all().iter().map(|it| format!("openclaw/{}", it.id)));
    let data: Vec<Value> = names.map(|it| row(&it)).collect();
    json_answer(StatusCode::OK, &json!({"object": "list", "data": data}))
}

/// One, by its name, of which the slash may be written as such.
pub(crate) fn model(asked: &Asked) -> Answer {
    let name = decoded(&asked.rest);
    let is_listed = name == "openclaw" || name.starts_with("openclaw/");
    let force = asked.gateway().force();
    // Also where a request has to say which of several agents it means.
    if is_listed && !matches!(agent_of(&force.agents, &name), Ok(None)) {
        return json_answer(StatusCode::OK, &row(&name));
    }
    let words = format!("Model '{}' not found.", base::text::line(&name, 80));
    error(StatusCode::NOT_FOUND, "invalid_request_error", &words)
}

fn row(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "openclaw", "permission": []})
}
