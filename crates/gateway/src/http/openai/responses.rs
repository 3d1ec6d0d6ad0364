//! `POST /v1/responses`.

mod shape;

use providers::ToolCall;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::super::Asked;
use super::super::reply::Answer;
use super::conversation::{Conversation, Item, text};
use super::sse;
use super::talk::{Talk, Wanted};
use super::tools::{self, ClientTools};
use super::{Problem, target};
use crate::keys::SessionKey;
use shape::Told;

const MISSING: &str = "Missing user message in `input`.";
/// What a response's id begins with; it is the id of the turn as well.
const PREFIX: &str = "resp_";

/// The body. What is not read here has no effect.
#[derive(Debug, Deserialize)]
struct Request {
    model: Option<String>,
    input: Value,
    instructions: Option<String>,
    stream: Option<bool>,
    user: Option<String>,
    previous_response_id: Option<String>,
    max_output_tokens: Option<u32>,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    metadata: Value,
}

/// Answers.
pub(crate) async fn answer(asked: Asked) -> Answer {
    attempt(&asked).await.unwrap_or_else(|problem| problem.answer())
}

/// What a body says.
pub(super) fn said(bytes: &[u8]) -> Result<(Conversation, ClientTools), Problem> {
    let request: Request = super::read(bytes)?;
    request.said()
}

impl Request {
    fn said(&self) -> Result<(Conversation, ClientTools), Problem> {
        let mut items: Vec<Item> = self.instructions.iter().map(|it| Item::System(it.clone())).collect();
        match &self.input {
            Value::String(text) => items.push(Item::User(text.clone())),
            Value::Array(list) => {
                for it in list {
                    items.extend(item(it)?);
                }
            }
            _ => return Err(Problem::bad("`input` must be a string or a list of items")),
        }
        let conversation = Conversation::of(items, MISSING)?;
        if self.max_output_tokens == Some(0) {
            return Err(Problem::bad("`max_output_tokens` must be at least 1"));
        }
        let tools = ClientTools::of(&self.tools, &self.tool_choice)?;
        Ok((conversation, tools))
    }
}

async fn attempt(asked: &Asked) -> Result<Answer, Problem> {
    let request: Request = super::read(&asked.body)?;
    let agent = target::agent(asked, request.model.as_deref())?;
    let (conversation, tools) = request.said()?;
    let mut key = target::session(asked, &agent, "openresponses", request.user.as_deref())?;
    if let Some(id) = &request.previous_response_id {
        let is_named = asked.header("x-openclaw-session-key").is_some() || request.user.is_some();
        key = previous(asked, id, is_named.then_some(&key), &agent).await?;
    }
    let id = format!("{PREFIX}{}", Uuid::new_v4());
    let wanted = Wanted {
        run_id: id.clone(),
        key,
        conversation,
        model: target::model(asked).await?,
        max_tokens: request.max_output_tokens,
        tools,
    };
    let told = Told::new(id, &request);
    let talk = Talk::begin(asked, wanted).await?;
    if request.stream == Some(true) {
        return Ok(sse::answer(talk, told));
    }
    let (text, end) = talk.whole().await;
    told.whole(&text, end)
}

/// The conversation of an earlier response, which is on disk. Only where it is the one that is named anyway, or none is.
async fn previous(
    asked: &Asked,
    id: &str,
    named: Option<&SessionKey>,
    agent: &str,
) -> Result<SessionKey, Problem> {
    let gateway = asked.gateway();
    let run_id = id.to_owned();
    let found = gateway.archive.with(move |store| store.run(&run_id)).await;
    let found = found.map_err(|error| gateway.store_refusal("the earlier response was not found", &error))?;
    let key = found
        .filter(|_| id.starts_with(PREFIX))
        .and_then(|it| SessionKey::parse(&it.session_key, agent).ok());
    let is_ours = |key: &SessionKey| key.agent() == agent && named.is_none_or(|it| it == key);
    key.filter(is_ours).ok_or_else(|| {
        Problem::bad(format!("Previous response with id '{}' not found.", base::text::line(id, 80)))
    })
}

fn item(it: &Value) -> Result<Option<Item>, Problem> {
    let word = |key: &str| it[key].as_str().map(str::to_owned);
    let needed =
        |key: &str| word(key).ok_or_else(|| Problem::bad(format!("an item of `input` has no `{key}`")));
    match it["type"].as_str().unwrap_or("message") {
        "message" => {
            let text = text(&it["content"])?;
            Ok(Some(match it["role"].as_str().unwrap_or_default() {
                "system" | "developer" => Item::System(text),
                "user" => Item::User(text),
                "assistant" => Item::Assistant(text, Vec::new()),
                other => {
                    let role = base::text::line(other, 40);
                    return Err(Problem::bad(format!("unknown role \"{role}\" in `input`")));
                }
            }))
        }
        "function_call" => {
            let arguments = word("arguments").unwrap_or_default();
            let call =
                ToolCall { id: needed("call_id")?, name: tools::sound_name(&needed("name")?)?, arguments };
            Ok(Some(Item::Assistant(String::new(), vec![call])))
        }
        "function_call_output" => Ok(Some(Item::Result(needed("call_id")?, text(&it["output"])?))),
        // Of no use to an agent that keeps its own.
        "reasoning" | "item_reference" => Ok(None),
        other => {
            let kind = base::text::line(other, 40);
            Err(Problem::bad(format!("this version takes no item of type \"{kind}\" in `input`")))
        }
    }
}
