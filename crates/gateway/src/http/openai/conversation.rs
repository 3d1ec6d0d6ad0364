//! From the messages of a request to what a turn is given: what is to be answered, what was said before it, and what
//! the model is told besides.

use agent::Entry;
use agent::entry::Answer;
use providers::ToolCall;
use serde_json::Value;

use super::Problem;

/// One message, in whichever of the two APIs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    System(String),
    User(String),
    Assistant(String, Vec<ToolCall>),
    /// What a tool of the caller brought back: the call, and the text.
    Result(String, String),
}

/// What a turn is given.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Conversation {
    /// What is to be answered.
    pub(super) message: String,
    /// What was said before it.
    pub(super) before: Vec<Entry>,
    /// Put after the system prompt.
    pub(super) system: Vec<String>,
}

impl Conversation {
    /// The last thing that a person or a tool of theirs said is what is to be answered.
    pub(super) fn of(items: Vec<Item>, missing: &str) -> Result<Self, Problem> {
        let mut it = Self::default();
        let mut spoken = Vec::new();
        for item in items {
            match item {
                Item::System(text) if !text.trim().is_empty() => it.system.push(text),
                Item::System(_) => {}
                // One round of the model may stand in several items.
                Item::Assistant(text, calls) => match spoken.last_mut() {
                    Some(Item::Assistant(before, all)) => {
                        before.push_str(&text);
                        all.extend(calls);
                    }
                    _ => spoken.push(Item::Assistant(text, calls)),
                },
                other => spoken.push(other),
            }
        }
        let is_asked = |item: &Item| matches!(item, Item::User(_) | Item::Result(..));
        let at = spoken.iter().rposition(is_asked).ok_or_else(|| Problem::bad(missing))?;
        spoken.truncate(at + 1);
        // All results that stand at the end are news.
        let first_result =
            spoken.iter().rposition(|item| !matches!(item, Item::Result(..))).map_or(0, |at| at + 1);
        let names = names(&spoken);
        let name = |id: &str| names.iter().find(|(it, _)| it == id).map_or("tool", |(_, name)| name.as_str());
        if first_result <= at {
            let told = |item: &Item| match item {
                Item::Result(id, text) => Some(format!("Result of {} ({id}):\n{text}", name(id))),
                _ => None,
            };
            it.message = spoken[first_result..].iter().filter_map(told).collect::<Vec<_>>().join("\n\n");
        } else if let Some(Item::User(text)) = spoken.pop() {
            it.message = text;
        }
        if it.message.trim().is_empty() {
            return Err(Problem::bad(missing));
        }
        it.before = spoken.iter().filter_map(|item| entry(item, name)).collect();
        Ok(it)
    }

    /// Bytes of all that is not to be answered.
    pub(super) fn size(&self) -> usize {
        let of = |it: &Entry| match it {
            Entry::User { text, .. } | Entry::Notice { text } => text.len(),
            Entry::Assistant(it) => {
                it.text.len() + it.calls.iter().map(|it| it.name.len() + it.arguments.len()).sum::<usize>()
            }
            Entry::ToolResult { name, text, .. } => name.len() + text.len(),
        };
        self.before.iter().map(of).sum::<usize>() + self.system.iter().map(String::len).sum::<usize>()
    }

    /// All that goes behind the system prompt.
    pub(super) fn extra(&self) -> Option<String> {
        (!self.system.is_empty()).then(|| self.system.join("\n\n"))
    }
}

fn names(items: &[Item]) -> Vec<(String, String)> {
    let calls = items.iter().filter_map(|item| match item {
        Item::Assistant(_, calls) => Some(calls),
        _ => None,
    });
    calls.flatten().map(|call| (call.id.clone(), call.name.clone())).collect()
}

fn entry<'a>(item: &Item, name: impl Fn(&str) -> &'a str) -> Option<Entry> {
    Some(match item {
        Item::System(_) => return None,
        Item::User(text) => Entry::user(text.clone()),
        Item::Assistant(text, calls) => {
            let stop_reason = if calls.is_empty() { "stop" } else { "toolUse" }.to_owned();
            Entry::Assistant(Answer {
                text: text.clone(),
                calls: calls.clone(),
                stop_reason,
                ..Answer::default()
            })
        }
        Item::Result(id, text) => Entry::ToolResult {
            call_id: id.clone(),
            name: name(id).to_owned(),
            text: text.clone(),
            is_error: false,
            details: Value::Null,
        },
    })
}

/// The text of a content: itself, or that of its parts.
pub(super) fn text(content: &Value) -> Result<String, Problem> {
    match content {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let texts: Result<Vec<&str>, Problem> = parts.iter().map(part).collect();
            Ok(texts?.join("\n"))
        }
        _ => Err(Problem::bad("a message's content must be a string or a list of parts")),
    }
}

fn part(part: &Value) -> Result<&str, Problem> {
    let kind = part["type"].as_str().unwrap_or("text");
    let word = match kind {
        "text" | "input_text" | "output_text" => part["text"].as_str(),
        "refusal" => part["refusal"].as_str(),
        _ => {
            let kind = base::text::line(kind, 40);
            return Err(Problem::bad(format!(
                "this version takes text alone, and no part of type \"{kind}\""
            )));
        }
    };
    word.ok_or_else(|| Problem::bad(format!("a part of type \"{kind}\" has no text")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: format!("tool-{id}"), arguments: "{}".to_owned() }
    }

    fn shown(it: &Conversation) -> String {
        let word = |entry: &Entry| match entry {
            Entry::User { text, .. } => format!("u:{text}"),
            Entry::Assistant(it) => format!("a:{}/{}", it.text, it.calls.len()),
            Entry::ToolResult { name, text, .. } => format!("t:{name}={text}"),
            Entry::Notice { .. } => "n".to_owned(),
        };
        let before: Vec<String> = it.before.iter().map(word).collect();
        format!("[{}] {} > {}", it.system.join("|"), before.join(" "), it.message)
    }

    #[track_caller]
    fn check(items: Vec<Item>, expected: Result<&str, &str>) {
        let found = Conversation::of(items, "none");
        assert_eq!(found.as_ref().map(shown).map_err(|it| it.words.as_str()), expected.map(str::to_owned));
    }

    #[test]
    fn the_last_word_of_the_person_is_answered() {
        let user = |text: &str| Item::User(text.to_owned());
        let says = |text: &str| Item::Assistant(text.to_owned(), Vec::new());
        let system = |text: &str| Item::System(text.to_owned());
        check(vec![system("s"), user("hi")], Ok("[s]  > hi"));
        check(
            vec![user("a"), says("b"), user("c"), system("late"), says("prefill")],
            Ok("[late] u:a a:b/0 > c"),
        );
        check(vec![says("b")], Err("none"));
        check(vec![], Err("none"));
        check(vec![user(" ")], Err("none"));
    }

    #[test]
    fn results_of_the_callers_tools_are_answered_as_well() {
        let calls = Item::Assistant("look".to_owned(), vec![call("1"), call("2")]);
        let result = |id: &str| Item::Result(id.to_owned(), format!("r{id}"));
        check(
            vec![Item::User("a".to_owned()), calls, result("1"), result("2")],
            Ok(
                "[] u:a a:look/2 t:tool-1=r1 t:tool-2=r2 > Result of tool-1 (1):\nr1\n\nResult of tool-2 (2):\nr2",
            ),
        );
    }

    #[test]
    fn a_content_is_text() {
        assert_eq!(
            text(&json!([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}])),
            Ok("a\nb".into())
        );
        assert_eq!(text(&json!(null)), Ok(String::new()));
        for content in [json!(5), json!([{"type": "image_url", "image_url": {}}]), json!([{"type": "text"}])]
        {
            assert!(text(&content).is_err(), "{content}");
        }
    }
}
