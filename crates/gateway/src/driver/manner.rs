//! How a turn goes about its work, as its conversation says: how much the model thinks, who sees its tools, and what
//! is said to it while it works.

use agent::Turn;
use providers::{Effort, Message, ModelRequest};
use serde_json::Value;
use store::Session;

use crate::runs::Run;
use crate::state::Gateway;

/// What a conversation says of its turns.
pub(super) struct Manner {
    thinking: Option<String>,
    pub(super) shows_tools: ShowsTools,
}

/// Whether tools are told of to those who have not asked for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ShowsTools {
    /// They are not.
    #[default]
    No,
    /// That they run, and how it ended.
    Calls,
    /// With what they brought back.
    Results,
}

impl Manner {
    pub(super) fn of(session: Option<&Session>) -> Self {
        let traits = session.and_then(|it| it.traits.as_deref());
        let traits: Value = traits.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
        let shows_tools = match traits["verboseLevel"].as_str() {
            Some("full") => ShowsTools::Results,
            Some("on") => ShowsTools::Calls,
            _ => ShowsTools::No,
        };
        Self { thinking: traits["thinkingLevel"].as_str().map(str::to_owned), shows_tools }
    }

    /// How much the model is to think: as this message says, or else the conversation.
    pub(super) fn effort(&self, run: &Run) -> Option<Effort> {
        run.ask.thinking.as_deref().or(self.thinking.as_deref()).and_then(Effort::of_level)
    }
}

/// Takes in what was said meanwhile, before the model is asked.
pub(super) async fn hear_more(gateway: &Gateway, run: &Run, turn: &mut Turn, request: &mut ModelRequest) {
    let is_first = !run.waits.asks_again();
    for joined in gateway.join(run, is_first).await {
        let ask = &joined.ask;
        let message = Message::User { text: ask.message.clone(), images: ask.images.clone() };
        request.messages.push(message.clone());
        turn.hears(message);
    }
}
