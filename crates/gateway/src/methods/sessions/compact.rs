//! Shorten a transcript: keep the last messages, or have the model sum up what was said before them.

use std::time::Duration;

use base::clock;
use futures_util::StreamExt;
use protocol::Refusal;
use protocol::chat::text_of;
use protocol::sessions::{CompactParams, CompactReply};
use providers::route::{self, Retry};
use providers::{Delta, Message, ModelRequest};
use store::{Compacted, Cut, Record, StoredRecord};

use crate::keys::SessionKey;
use crate::rows::{SUMMARY, summary};
use crate::state::Gateway;
use crate::table::Caller;

/// How many of the last messages a summary leaves as they are.
const KEPT: usize = 6;
/// Records that are looked at: no turn is shown more of them.
const READ: usize = 400;
/// Characters of one message that the model is shown, and of all of them.
const SHOWN: (usize, usize) = (4000, 200_000);
/// How long the model may take.
const PATIENCE: Duration = Duration::from_secs(180);

const TASK: &str = "You shorten a conversation between a person and an assistant so that the assistant can go on \
with it. Write down, in the conversation's language and as short as you can: what the person wants, what was decided \
and why, facts, names, paths and numbers that matter, and what is still to be done. Write nothing else.";

pub(crate) async fn compact(caller: Caller, params: CompactParams) -> Result<CompactReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.key, params.agent_id.as_deref())?;
    if params.max_lines == Some(0) {
        return Err(Refusal::invalid("invalid sessions.compact params: at /maxLines: must be at least 1"));
    }
    // Nothing else runs in the session meanwhile: what is summed up is all that was said.
    let done = gateway.alone(&key, shorten(gateway, &key, params.max_lines)).await?;
    let name = key.as_str().to_owned();
    let reply = match done {
        Ok(it) => {
            gateway.tell_changed(&key, "compact", None).await;
            let archived = Some(it.archived);
            CompactReply { ok: true, key: name, compacted: true, archived, kept: Some(it.kept), reason: None }
        }
        Err(why) => {
            let reason = Some(why.to_owned());
            CompactReply { ok: true, key: name, compacted: false, archived: None, kept: None, reason }
        }
    };
    Ok(reply)
}

/// Does it. In the inner error: why there was nothing to do.
async fn shorten(
    gateway: &Gateway,
    key: &SessionKey,
    lines: Option<usize>,
) -> Result<Result<Compacted, &'static str>, Refusal> {
    let failed =
        |error: store::StoreError| gateway.store_refusal("the conversation was not shortened", &error);
    let name = key.as_str().to_owned();
    let keep = lines.unwrap_or(KEPT);
    let read = gateway.archive.with(move |store| {
        let session = store.session(&name)?;
        Ok((session, store.history(&name, READ.max(keep.saturating_add(1)))?))
    });
    let (session, records) = read.await.map_err(failed)?;
    let Some(session) = session else { return Ok(Err("no sessionId")) };
    let Some(last) = records.last().map(|it| it.seq) else { return Ok(Err("no transcript")) };
    if session.message_count <= keep as u64 {
        return Ok(Err("nothing to compact"));
    }
    let from = first_kept(&records, keep);
    let Some(through) = from.checked_sub(1).map(|it| records[it].seq) else {
        return Ok(Err("nothing to compact"));
    };
    let summary = match lines {
        Some(_) => None,
        None => Some(sum_up(gateway, session.model.as_deref(), &records[..from]).await?),
    };
    let name = key.as_str().to_owned();
    let cut = Cut { through, last, summary };
    gateway.archive.with(move |store| store.compact_session(&name, &cut)).await.map_err(failed).map(Ok)
}

/// The first record that stays. A tool's result never stays without its call.
fn first_kept(records: &[StoredRecord], keep: usize) -> usize {
    let from = records.len().saturating_sub(keep);
    let results = records[from..].iter().take_while(|it| it.role == "toolResult").count();
    from + results
}

async fn sum_up(gateway: &Gateway, model: Option<&str>, records: &[StoredRecord]) -> Result<Record, Refusal> {
    let choice = gateway.choose_model(model).await?;
    if !choice.is_configured() {
        return Err(Refusal::unavailable(format!(
            "instance {} has no model that could sum up the conversation: configure one, or name maxLines",
            gateway.instance.name
        )));
    }
    let request = ModelRequest {
        model: choice.model.clone(),
        system: TASK.to_owned(),
        messages: vec![Message::User { text: transcript(records), images: Vec::new() }],
        tools: Vec::new(),
        max_tokens: None,
        effort: None,
    };
    let mut stream = route::ask(choice.provider.clone(), request, Retry::default());
    let asked = async {
        let mut text = String::new();
        while let Some(delta) = stream.next().await {
            if let Delta::Text(more) = delta? {
                text.push_str(&more);
            }
        }
        Ok::<_, providers::ModelError>(text)
    };
    let failed = |why: String| {
        Refusal::unavailable(format!(
            "the conversation was not shortened by instance {}: {why} (model {})",
            gateway.instance.name,
            choice.name()
        ))
    };
    let text = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed("no summary came in time".to_owned())),
    };
    if text.trim().is_empty() {
        return Err(failed("the model wrote no summary".to_owned()));
    }
    let at = clock::now_ms();
    Ok(Record { role: SUMMARY.to_owned(), message: summary(text.trim(), at), at })
}

/// What was said, as a text; of a long one its end.
fn transcript(records: &[StoredRecord]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut room = SHOWN.1;
    for record in records.iter().rev() {
        let text: String = text_of(&record.message).chars().take(SHOWN.0).collect();
        if text.is_empty() {
            continue;
        }
        let Some(left) = room.checked_sub(text.len()) else { break };
        room = left;
        lines.push(format!("{}: {text}", record.role));
    }
    lines.reverse();
    lines.join("\n\n")
}
