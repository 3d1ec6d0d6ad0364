//! `/v1/models`: the agents, under the names by which they are asked.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::reply::{Answer, error, json_answer};
use super::super::{Asked, decoded};
use super::target::{agent_of, agents};

/// All of them.
pub(crate) fn models(_: &Asked) -> Answer {
    let own = ["openclaw", "openclaw/default"].map(str::to_owned);
    let names = own.into_iter().chain(agents().into_iter().map(|it| format!("openclaw/{it}")));
    let data: Vec<Value> = names.map(|it| row(&it)).collect();
    json_answer(StatusCode::OK, &json!({"object": "list", "data": data}))
}

/// One, by its name, of which the slash may be written as such.
pub(crate) fn model(asked: &Asked) -> Answer {
    let name = decoded(&asked.rest);
    let is_listed = name == "openclaw" || name.starts_with("openclaw/");
    if is_listed && agent_of(&name).is_some() {
        return json_answer(StatusCode::OK, &row(&name));
    }
    let words = format!("Model '{}' not found.", base::text::line(&name, 80));
    error(StatusCode::NOT_FOUND, "invalid_request_error", &words)
}

fn row(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "openclaw", "permission": []})
}
