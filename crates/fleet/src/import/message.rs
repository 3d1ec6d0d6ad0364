//! One entry of the original's transcript, as a record of ours.

use serde_json::{Map, Value, json};
use store::Record;

/// Who speaks in a notice: no model sees it.
const NOTICE: &str = "notice";
/// What stands for a picture, which has no place in a transcript of ours.
const PICTURE: &str = "[image]";

/// The record of an entry; `None` for one that says nothing to anybody. `fallback_at` in Unix milliseconds is for
/// an entry that has no time of its own.
pub(super) fn record(entry: &Value, fallback_at: u64) -> Option<Record> {
    let message = &entry["message"];
    let at = time(&message["timestamp"]).or_else(|| time(&entry["timestamp"])).unwrap_or(fallback_at);
    match entry["type"].as_str()? {
        "message" => said(message, at),
        "compaction" => {
            let summary = entry["summary"].as_str().unwrap_or_default();
            Some(notice(format!("The conversation was shortened here. What it was about:\n{summary}"), at))
        }
        "branch_summary" => {
            let summary = entry["summary"].as_str().unwrap_or_default();
            Some(notice(format!("Another branch of the conversation was left here:\n{summary}"), at))
        }
        "custom_message" => {
            let text = texts(&entry["content"]);
            (!text.is_empty()).then(|| notice(text, at))
        }
        _ => None,
    }
}

/// Unix milliseconds out of a number, or out of a date as JSON has it.
pub(super) fn time(value: &Value) -> Option<u64> {
    if let Some(text) = value.as_str() {
        return date(text);
    }
    number(value).filter(|it| *it > 0)
}

/// A count; one that JavaScript wrote may have a fraction.
pub(super) fn number(value: &Value) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is asked to")]
    let rounded = || value.as_f64().filter(|it| it.is_finite() && *it >= 0.0).map(|it| it as u64);
    value.as_u64().or_else(rounded)
}

fn said(message: &Value, at: u64) -> Option<Record> {
    let role = message["role"].as_str()?;
    let mut ours = Map::new();
    ours.insert("role".to_owned(), json!(role));
    match role {
        "user" => {
            ours.insert("content".to_owned(), words(&message["content"]));
        }
        "assistant" => {
            ours.insert("content".to_owned(), answer(&message["content"]));
            keep(&mut ours, message, &["api", "provider", "model", "stopReason", "errorMessage"]);
            usage(&mut ours, &message["usage"]);
        }
        "toolResult" => {
            keep(&mut ours, message, &["toolCallId", "toolName"]);
            ours.insert("content".to_owned(), words(&message["content"]));
            ours.insert("isError".to_owned(), json!(message["isError"].as_bool().unwrap_or_default()));
            ours.insert("details".to_owned(), message["details"].clone());
        }
        _ => return None,
    }
    ours.insert("timestamp".to_owned(), json!(at));
    Some(Record { role: role.to_owned(), message: Value::Object(ours), at })
}

/// As the gateway's own notices are: clients know no such role, so that it speaks as the assistant does.
fn notice(text: String, at: u64) -> Record {
    let message = json!({
        "role": "assistant", "content": [{"type": "text", "text": text}], "provider": "gateway", "model": NOTICE,
        "stopReason": "error", "errorMessage": text, "timestamp": at,
    });
    Record { role: NOTICE.to_owned(), message, at }
}

/// Fields that are texts there and here.
fn keep(ours: &mut Map<String, Value>, message: &Value, keys: &[&str]) {
    for key in keys {
        if let Some(text) = message[*key].as_str() {
            ours.insert((*key).to_owned(), json!(text));
        }
    }
}

fn usage(ours: &mut Map<String, Value>, usage: &Value) {
    let (Some(input), Some(output)) = (number(&usage["input"]), number(&usage["output"])) else { return };
    let total = number(&usage["totalTokens"]).unwrap_or(input.saturating_add(output));
    ours.insert("usage".to_owned(), json!({"input": input, "output": output, "totalTokens": total}));
}

/// The words of a person or a tool, as parts.
fn words(content: &Value) -> Value {
    match content {
        Value::String(text) => json!([{"type": "text", "text": text}]),
        Value::Array(parts) => parts.iter().filter_map(word).collect(),
        _ => json!([]),
    }
}

fn word(part: &Value) -> Option<Value> {
    let text = match part["type"].as_str()? {
        "text" => part["text"].as_str()?,
        "image" => PICTURE,
        _ => return None,
    };
    Some(json!({"type": "text", "text": text}))
}

/// The words and tool calls of a model. Its thoughts are of use to the service that they came from alone.
fn answer(content: &Value) -> Value {
    let Value::Array(parts) = content else { return words(content) };
    let part = |part: &Value| match part["type"].as_str() {
        Some("toolCall") => Some(json!({
            "type": "toolCall", "id": part["id"].as_str().unwrap_or_default(),
            "name": part["name"].as_str().unwrap_or_default(), "arguments": part["arguments"],
        })),
        _ => word(part).filter(|it| it["text"] != ""),
    };
    parts.iter().filter_map(part).collect()
}

fn texts(content: &Value) -> String {
    let parts = words(content);
    let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|it| it["text"].as_str()).collect::<Vec<_>>().join("\n")
}

/// `2026-11-22T22:07:08.197Z` in Unix milliseconds: the one form in which JavaScript writes a date into JSON.
fn date(text: &str) -> Option<u64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    let has_marks = marks.iter().all(|(at, mark)| text.get(*at..).is_some_and(|it| it.starts_with(*mark)));
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if !has_marks || year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let thousandths = part(20, 23).unwrap_or_default();
    // The calendar's years are counted from March, so that the leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_javascript_writes_them() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2026-11-22T16:40:36.645Z", Some(1_795_365_636_645)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2000-03-01T00:00:01.5Z", Some(951_868_801_000)),
            ("yesterday", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-1é-01T00:00:00Z", None),
        ] {
            assert_eq!(date(text), expected, "{text}");
        }
        assert_eq!(time(&json!(12.0)), Some(12));
    }

    #[track_caller]
    fn check(entry: &Value, role: &str, expected: &Value) {
        let found = record(entry, 5).expect("a record");
        assert_eq!((found.role.as_str(), &found.message), (role, expected));
    }

    #[test]
    fn messages_are_those_of_our_own_transcripts() {
        check(
            &json!({"type": "message", "timestamp": "1970-01-01T00:00:09.000Z",
                    "message": {"role": "user", "content": "hi", "idempotencyKey": "x"}}),
            "user",
            &json!({"role": "user", "content": [{"type": "text", "text": "hi"}], "timestamp": 9000}),
        );
        check(
            &json!({"type": "message", "message": {"role": "assistant", "timestamp": 7, "provider": "p", "model": "m",
                    "api": "openai-completions", "stopReason": "toolUse", "responseId": "r",
                    "usage": {"input": 3, "output": 2, "cost": {"total": 0}, "totalTokens": 9},
                    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "let me"},
                                {"type": "toolCall", "id": "c", "name": "exec", "arguments": {"command": "ls"}}]}}),
            "assistant",
            &json!({"role": "assistant", "timestamp": 7, "provider": "p", "model": "m", "api": "openai-completions",
                    "stopReason": "toolUse", "usage": {"input": 3, "output": 2, "totalTokens": 9},
                    "content": [{"type": "text", "text": "let me"},
                                {"type": "toolCall", "id": "c", "name": "exec", "arguments": {"command": "ls"}}]}),
        );
        check(
            &json!({"type": "message", "message": {"role": "toolResult", "toolCallId": "c", "toolName": "exec",
                    "content": [{"type": "text", "text": "a"}, {"type": "image", "data": "AAAA"}], "isError": true}}),
            "toolResult",
            &json!({"role": "toolResult", "toolCallId": "c", "toolName": "exec", "isError": true, "details": null,
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "[image]"}], "timestamp": 5}),
        );
    }

    #[test]
    fn what_is_for_people_becomes_a_notice_and_bookkeeping_nothing() {
        let found =
            record(&json!({"type": "compaction", "summary": "we spoke of tea"}), 5).expect("a notice");
        assert_eq!(found.role, "notice");
        assert!(found.message["errorMessage"].as_str().is_some_and(|it| it.ends_with("we spoke of tea")));
        for kind in ["model_change", "custom", "label", "session", "of tomorrow"] {
            assert_eq!(record(&json!({"type": kind, "id": "x"}), 5), None, "{kind}");
        }
        assert_eq!(record(&json!({"type": "message", "message": {"role": "bashExecution"}}), 5), None);
    }
}
