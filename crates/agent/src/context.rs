//! What the model is shown: who the agent is, and as much of the conversation as there is room for.

use std::fmt::Write;

use base::clock;
use providers::Message;

use crate::entry::Entry;
use crate::workspace::Page;

/// A token is taken for this many bytes; on the safe side for European languages.
const BYTES_A_TOKEN: usize = 3;
/// A picture is taken for so many tokens: vendors count 85 to 1600.
const IMAGE_TOKENS: usize = 1600;
/// The most bytes of pictures, in base64, of one question: what came with one message always fits.
const PICTURES_BYTES: usize = 24 * 1024 * 1024;
/// Of the context, what is kept for the answer.
const ANSWER_SHARE: usize = 4;

/// The longest answer of a model whose context is known: a small one that has lost its way would go on for ever.
pub fn longest_answer(context_tokens: usize) -> u32 {
    u32::try_from(context_tokens / ANSWER_SHARE).unwrap_or(u32::MAX)
}

/// What the prompt says besides the workspace's files.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// The instance's name.
    pub instance: &'a str,
    /// The workspace's path, as commands see it.
    pub workspace: &'a str,
    /// Unix milliseconds.
    pub now: u64,
    /// Put at the end, for one turn only.
    pub extra: Option<&'a str>,
}

/// The system prompt.
pub fn system(setting: &Setting<'_>, pages: &[Page]) -> String {
    let mut text = format!(
        "You are an assistant in the OpenClaw gateway instance `{}`. Now: {}. Workspace: {}.\n",
        setting.instance,
        clock::rfc3339(setting.now),
        setting.workspace
    );
    for page in pages {
        let mark = if page.cut { " (cut)" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n<file name=\"{}\"{mark}>\n{}\n</file>\n", page.name, page.text.trim());
    }
    if let Some(extra) = setting.extra {
        let _ = write!(text, "\n{extra}\n");
    }
    text
}

/// The conversation as the model is shown it: the newest entries that fit into `context_tokens` beside the
/// system prompt, beginning with something that the person said, every tool call answered.
pub fn messages(mut entries: Vec<Entry>, system: &str, context_tokens: usize) -> Vec<Message> {
    leave_out_old_pictures(&mut entries);
    let room = context_tokens.saturating_sub(context_tokens / ANSWER_SHARE).saturating_mul(BYTES_A_TOKEN);
    let room = room.saturating_sub(system.len());
    let mut used = 0;
    let mut from = entries.len();
    for (at, entry) in entries.iter().enumerate().rev() {
        used += size(entry);
        // The message that is to be answered goes in even when there is no room: the provider then says so.
        if used > room && at + 1 < entries.len() {
            break;
        }
        if matches!(entry, Entry::User { .. }) {
            from = at;
        }
    }
    answered(entries.into_iter().skip(from).collect()).into_iter().filter_map(Entry::for_model).collect()
}

/// Gives every tool call a result: one that was cut off by a crash gets a word about it. Services refuse a
/// conversation with an open call.
fn answered(entries: Vec<Entry>) -> Vec<Entry> {
    let mut whole = Vec::with_capacity(entries.len());
    let mut open: Vec<(String, String)> = Vec::new();
    for entry in entries {
        if let Entry::ToolResult { call_id, .. } = &entry {
            let before = open.len();
            open.retain(|(id, _)| id != call_id);
            // A result without its call is refused as well.
            if open.len() == before {
                continue;
            }
        } else {
            whole.extend(open.drain(..).map(cut_off));
        }
        if let Entry::Assistant(answer) = &entry {
            open = answer.calls.iter().map(|it| (it.id.clone(), it.name.clone())).collect();
        }
        whole.push(entry);
    }
    whole.extend(open.into_iter().map(cut_off));
    whole
}

/// Keeps the newest pictures, as many as one question may carry; the others leave a word behind.
fn leave_out_old_pictures(entries: &mut [Entry]) {
    let mut bytes = 0;
    for entry in entries.iter_mut().rev() {
        let Entry::User { text, images } = entry else { continue };
        if images.is_empty() {
            continue;
        }
        bytes += images.iter().map(|it| it.data.len()).sum::<usize>();
        if bytes > PICTURES_BYTES {
            images.clear();
            text.push_str("\n[pictures that were shown here are left out]");
        }
    }
}

fn cut_off((call_id, name): (String, String)) -> Entry {
    let text = "(the result was lost: the gateway ended while the tool ran)".to_owned();
    Entry::ToolResult { call_id, name, text, is_error: true, details: serde_json::Value::Null }
}

fn size(entry: &Entry) -> usize {
    match entry {
        Entry::User { text, images } => text.len() + images.len() * IMAGE_TOKENS * BYTES_A_TOKEN,
        Entry::ToolResult { text, .. } => text.len(),
        Entry::Assistant(it) => it.text.len() + it.calls.iter().map(|it| it.arguments.len()).sum::<usize>(),
        Entry::Notice { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Answer;
    use providers::{Image, ToolCall};

    fn user(text: &str) -> Entry {
        Entry::user(text)
    }

    fn says(text: &str, calls: &[&str]) -> Entry {
        let call = |id: &&str| ToolCall { id: (*id).into(), name: "exec".into(), arguments: "{}".into() };
        Entry::Assistant(Answer {
            text: text.into(),
            calls: calls.iter().map(call).collect(),
            ..Answer::default()
        })
    }

    fn result(id: &str) -> Entry {
        let details = serde_json::Value::Null;
        Entry::ToolResult {
            call_id: id.into(),
            name: "exec".into(),
            text: "done".into(),
            is_error: false,
            details,
        }
    }

    #[track_caller]
    fn check(entries: Vec<Entry>, tokens: usize, expected: &str) {
        let shown: Vec<String> = messages(entries, "", tokens)
            .iter()
            .map(|it| match it {
                Message::User { text, .. } => format!("u:{text}"),
                Message::Assistant { text, calls } => format!("a:{text}/{}", calls.len()),
                Message::Tool { call_id, .. } => format!("t:{call_id}"),
            })
            .collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn old_pictures_leave_a_word_behind() {
        let shows = |bytes: usize| {
            let data = "A".repeat(bytes).into();
            Entry::User { text: "see".into(), images: vec![Image { mime: "image/png".into(), data }] }
        };
        let mut entries = vec![shows(9), says("1", &[]), shows(PICTURES_BYTES - 1), says("2", &[]), shows(1)];
        leave_out_old_pictures(&mut entries);
        let told = messages(entries, "", 1_000_000);
        let images = |it: &Message| matches!(it, Message::User { images, .. } if !images.is_empty());
        assert_eq!(told.iter().map(images).collect::<Vec<_>>(), [false, false, true, false, true]);
        assert!(matches!(&told[0], Message::User { text, .. } if text.ends_with("are left out]")));
    }

    #[test]
    fn keeps_the_newest_that_fit_and_begins_with_the_person() {
        let talk = || vec![user("one"), says("1", &[]), user("two"), says("2", &[]), user("three")];
        check(talk(), 1000, "u:one a:1/0 u:two a:2/0 u:three");
        check(talk(), 4, "u:two a:2/0 u:three");
        check(talk(), 1, "u:three");
    }

    #[test]
    fn answers_every_call_and_drops_results_without_one() {
        check(vec![user("x"), says("", &["c1", "c2"]), result("c1")], 1000, "u:x a:/2 t:c1 t:c2");
        check(vec![user("x"), says("", &["c1"]), user("y")], 1000, "u:x a:/1 t:c1 u:y");
        check(vec![user("x"), result("c9"), says("", &[])], 1000, "u:x");
    }

    #[test]
    fn the_prompt_names_the_instance_and_carries_the_files() {
        let setting = Setting { instance: "acme", workspace: "/w", now: 0, extra: Some("Be short.") };
        let page = Page { name: "SOUL.md", text: "Calm.\n".into(), cut: true };
        let text = system(&setting, &[page]);
        for part in
            ["`acme`", "1970-01-01", "/w", "<file name=\"SOUL.md\" (cut)>\nCalm.\n</file>", "Be short."]
        {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
