//! Words in conversations, and one change to several of them.

use protocol::sessions::{
    ListParams, PatchManyParams, PatchManyReply, PatchOutcome, PatchParams, SearchHit, SearchParams,
    SearchReply,
};
use protocol::{Code, Refusal};
use serde_json::json;
use store::Wanted;

use super::{MOST_ROWS, page, patch};
use crate::table::Caller;

/// Results of a search where the caller names no number, and the most.
const RESULTS: (usize, usize) = (10, 25);
/// The longest query, in bytes.
const QUERY_BYTES: usize = 1024;
/// The most conversations that a search names, and that one change is for.
const NAMED: (usize, usize) = (200, 100);

pub(crate) async fn search(caller: Caller, params: SearchParams) -> Result<SearchReply, Refusal> {
    let gateway = &caller.gateway;
    let bad = |at: &str| Refusal::invalid(format!("invalid sessions.search params: at /{at}"));
    let query = params.query.trim();
    if query.is_empty() {
        return Err(Refusal::invalid("query must not be empty"));
    }
    let limit = params.limit.unwrap_or(RESULTS.0);
    if query.len() > QUERY_BYTES {
        return Err(bad(&format!("query: at most {QUERY_BYTES} bytes are allowed")));
    }
    if !(1..=RESULTS.1).contains(&limit) {
        return Err(bad(&format!("limit: 1 to {} are allowed", RESULTS.1)));
    }
    if params.scope.is_some() && (params.agent_id.is_some() || params.session_keys.is_some()) {
        return Err(bad("scope: not beside agentId or sessionKeys"));
    }
    let named = params.session_keys.as_deref();
    if named.is_some_and(|it| it.is_empty() || it.len() > NAMED.0) {
        return Err(bad(&format!("sessionKeys: 1 to {} are allowed", NAMED.0)));
    }
    let agent = params.agent_id.as_deref().map(|it| gateway.agent(Some(it))).transpose()?.map(|it| it.id);
    let listed = match params.scope {
        Some(scope) => {
            let scope = ListParams { limit: Some(MOST_ROWS), offset: None, ..scope };
            Some(page(gateway, scope).await?.sessions)
        }
        None => None,
    };
    let keys = match (named, &listed) {
        (Some(named), _) => {
            let keys = named.iter().map(|it| Ok(gateway.key_of(it, agent.as_deref())?.as_str().to_owned()));
            Some(keys.collect::<Result<Vec<_>, Refusal>>()?)
        }
        (None, Some(rows)) => Some(rows.iter().map(|it| it.key.clone()).collect()),
        (None, None) => None,
    };
    let wanted = Wanted { text: query.to_owned(), keys, agent_id: agent, limit };
    let found = gateway.archive.with(move |store| store.search(&wanted)).await;
    let (hits, is_cut) = found.map_err(|error| gateway.store_refusal("nothing was looked for", &error))?;
    let results: Vec<SearchHit> = hits.into_iter().map(hit).collect();
    let sessions = listed.map(|rows| {
        rows.into_iter().filter(|row| results.iter().any(|it| it.session_key == row.key)).collect()
    });
    Ok(SearchReply { results, sessions, truncated: is_cut.then_some(true) })
}

fn hit(it: store::Hit) -> SearchHit {
    SearchHit {
        session_key: it.key,
        session_id: it.session_id,
        message_id: it.id,
        role: it.role,
        timestamp: it.at,
        snippet: it.snippet,
        score: it.score,
    }
}

pub(crate) async fn patch_many(caller: Caller, params: PatchManyParams) -> Result<PatchManyReply, Refusal> {
    let bad = |why: String| Refusal::invalid(format!("invalid sessions.patchMany params: at {why}"));
    if params.targets.is_empty() || params.targets.len() > NAMED.1 {
        return Err(bad(format!("/targets: 1 to {} are allowed", NAMED.1)));
    }
    let mut outcomes = Vec::with_capacity(params.targets.len());
    for target in params.targets {
        let mut one = params.patch.clone();
        one.insert("key".to_owned(), json!(target.key));
        one.insert("agentId".to_owned(), json!(target.agent_id));
        one.insert("expectedSessionId".to_owned(), json!(target.expected_session_id));
        one.insert("expectedLifecycleRevision".to_owned(), json!(target.expected_lifecycle_revision));
        // What is wrong with the change is wrong with it for all of them, and found at the first.
        let one: PatchParams =
            serde_path_to_error::deserialize(serde_json::Value::Object(one)).map_err(|error| {
                let place = error.path().to_string().replace('.', "/");
                bad(format!("/patch/{place}: {}", error.inner()))
            })?;
        let changed = patch(caller.clone(), one).await;
        if let Err(refusal) = &changed
            && refusal.code == Code::Forbidden
        {
            return Err(refusal.clone());
        }
        let error = changed.err();
        outcomes.push(PatchOutcome {
            ok: error.is_none(),
            key: target.key,
            agent_id: target.agent_id,
            error,
        });
    }
    Ok(PatchManyReply { outcomes })
}
