//! Writes of the config over the control plane: on the text that the caller has read, with its redacted secrets put
//! back, valid, or not at all.

use std::path::Path;

use base::clock;
use profile::document::{Change, Document, Unreadable};
use profile::writing::{self, Author, Current, NotWritten, Written};
use profile::{Finding, document, generations};
use protocol::Refusal;
use protocol::config::{CHANGED, INVALID, Issue, REDACTED, Restart, WriteParams, WriteReply};
use protocol::reload::{ReloadHow, ReloadReport};
use serde_json::{Value, json};

use super::{hash, issue, whole};
use crate::config;
use crate::state::Gateway;
use crate::table::Caller;
use crate::{reload, restart};

/// Which of the writes it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Set,
    Apply,
    Patch,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Set => "config.set",
            Kind::Apply => "config.apply",
            Kind::Patch => "config.patch",
        }
    }
}

/// Writes, on a thread that may wait for the disk and for another writer.
pub(super) async fn serve(caller: Caller, params: WriteParams, kind: Kind) -> Result<WriteReply, Refusal> {
    let gateway = caller.gateway.clone();
    let asked = params.clone();
    // Before it is written: the restart may be through before the answer is.
    let kept = keep(&gateway, &params, kind);
    let done = tokio::task::spawn_blocking(move || write(&caller, &params, kind)).await;
    let (document, written) = done
        .unwrap_or_else(|_| {
            Err(Refusal::unavailable(format!("{} failed: this is a fault of the gateway", kind.name())))
        })
        .inspect_err(|_| drop_kept(&gateway, kept))?;
    // Who wrote it hears what became of it, and not what is expected to.
    let report = reload::look(&gateway).await;
    let restarts = report.how == ReloadHow::Restarting;
    if !restarts {
        drop_kept(&gateway, kept);
    }
    let mut reply = reply(&gateway, &document, &written, (&asked, kind), report);
    if let Some(sentinel) = &mut reply.sentinel {
        sentinel["persisted"] = json!(kept && restarts);
    }
    Ok(reply)
}

/// Keeps what the conversation that the change is made in hears after a restart. Tells whether there is something to
/// hear, and somebody.
fn keep(gateway: &Gateway, params: &WriteParams, kind: Kind) -> bool {
    let key = params.session_key.as_deref().and_then(|it| gateway.session_key(it).ok());
    let Some(key) = key.filter(|_| kind != Kind::Set) else { return false };
    let mut payload = payload(gateway, params, kind);
    payload["sessionKey"] = json!(key.as_str());
    let kept = restart::keep(gateway, payload);
    kept.inspect_err(|it| tracing::warn!("{}", base::text::chain(it))).is_ok()
}

fn drop_kept(gateway: &Gateway, kept: bool) {
    if kept {
        restart::forget(gateway);
    }
}

fn write(caller: &Caller, params: &WriteParams, kind: Kind) -> Result<(Document, Written), Refusal> {
    let gateway = &*caller.gateway;
    if let Some(name) = writing::is_read_only(&gateway.ambient) {
        return Err(Refusal::invalid(format!("this config is managed elsewhere ({name} is 1)")));
    }
    let current = writing::current(&gateway.instance)
        .map_err(|_| Refusal::invalid("config base hash unavailable; re-run config.get and retry"))?;
    check_base(gateway, &current, params.base_hash.as_deref())?;
    let candidate = candidate(gateway, &current, params, kind)?;
    let broken =
        config::broken_by(&gateway.instance, &gateway.ambient, current.text.as_deref(), candidate.text());
    if !broken.is_empty() {
        return Err(invalid(broken));
    }
    let why = params.note.as_deref().filter(|it| !it.trim().is_empty()).unwrap_or(kind.name()).to_owned();
    let author = Author { by: caller.client.who.program.clone(), why };
    let base = current.text.as_ref().map(|_| current.sum.as_str());
    let written = writing::write(&gateway.instance, base, candidate.text(), &author).map_err(not_written)?;
    Ok((candidate, written))
}

/// What became of a change that a method made.
pub(in super::super) struct Changed<T> {
    /// What the change itself has to tell.
    pub(in super::super) told: T,
    /// What the gateway did with it, for people.
    pub(in super::super) effect: String,
}

/// How often a change is made anew on a text that somebody else has changed meanwhile.
const TRIES: usize = 3;

/// Changes the config file as a method asks for: on the text that the caller names, else on what is there.
///
/// # Errors
/// Where the file is not the one that the caller has read, the change does not fit, or breaks something.
pub(in super::super) async fn change<T: Send + 'static>(
    caller: &Caller,
    base: Option<String>,
    why: String,
    edit: impl Fn(&mut Document) -> Result<T, Refusal> + Send + 'static,
) -> Result<Changed<T>, Refusal> {
    let (gateway, own) = (caller.gateway.clone(), caller.clone());
    let done = tokio::task::spawn_blocking(move || edit_file(&own, base.as_deref(), &why, &edit)).await;
    let (told, _) = done
        .unwrap_or_else(|_| Err(Refusal::unavailable("the change failed: this is a fault of the gateway")))?;
    let report = reload::look(&gateway).await;
    Ok(Changed { told, effect: effect(&report) })
}

fn edit_file<T>(
    caller: &Caller,
    base: Option<&str>,
    why: &str,
    edit: &impl Fn(&mut Document) -> Result<T, Refusal>,
) -> Result<(T, Written), Refusal> {
    let gateway = &*caller.gateway;
    if let Some(name) = writing::is_read_only(&gateway.ambient) {
        return Err(Refusal::invalid(format!("this config is managed elsewhere ({name} is 1)")));
    }
    let path = &gateway.instance.config_path;
    for _ in 0..TRIES {
        let current = writing::current(&gateway.instance)
            .map_err(|_| Refusal::invalid("config base hash unavailable; re-run config.get and retry"))?;
        if base.is_some() {
            check_base(gateway, &current, base)?;
        }
        let mut document = match &current.text {
            None => Document::fresh(path),
            Some(text) => Document::parse(path, text.clone()).map_err(|it| does_not_parse(&it))?,
        };
        let told = edit(&mut document)?;
        let broken =
            config::broken_by(&gateway.instance, &gateway.ambient, current.text.as_deref(), document.text());
        if !broken.is_empty() {
            return Err(invalid(broken));
        }
        let author = Author { by: caller.client.who.program.clone(), why: why.to_owned() };
        let sum = current.text.as_ref().map(|_| current.sum.as_str());
        match writing::write(&gateway.instance, sum, document.text(), &author) {
            Ok(it) => return Ok((told, it)),
            Err(NotWritten::Changed { .. }) if base.is_none() => {}
            Err(other) => return Err(not_written(other)),
        }
    }
    Err(Refusal::unavailable("the config is changed by others all the time: try again").retryable())
}

/// Whether the caller has read what is there.
fn check_base(gateway: &Gateway, current: &Current, base: Option<&str>) -> Result<(), Refusal> {
    let Some(text) = &current.text else { return Ok(()) };
    let Some(base) = base.map(str::trim).filter(|it| !it.is_empty()) else {
        return Err(Refusal::invalid("config base hash required; re-run config.get and retry"));
    };
    if base == current.sum || base == hash(gateway, text) {
        return Ok(());
    }
    // What the caller has read was in force once, unless somebody edits the file.
    let texts =
        generations::all(&gateway.instance.state_dir).into_iter().rev().filter_map(|it| it.text().ok());
    let before = texts.into_iter().find(|it| base == writing::sum(it) || base == hash(gateway, it));
    Err(changed(&before.map(|it| writing::difference(&it, text)).unwrap_or_default()))
}

/// The document as it is to be written.
fn candidate(
    gateway: &Gateway,
    current: &Current,
    params: &WriteParams,
    kind: Kind,
) -> Result<Document, Refusal> {
    let path = &gateway.instance.config_path;
    let before = match &current.text {
        None => Ok(Document::fresh(path)),
        Some(text) => Document::parse(path, text.clone()),
    };
    let mut it = if kind == Kind::Patch {
        let patch =
            Document::parse(Path::new("config.patch"), params.raw.clone()).map_err(|error| match error {
                Unreadable::Syntax { finding, .. } if finding.message.starts_with("the document must be") => {
                    Refusal::invalid("config.patch raw must be an object")
                }
                other => does_not_parse(&other),
            })?;
        let mut document = before.as_ref().map_err(does_not_parse)?.clone();
        document.merge_with(patch.value(), &params.replace_paths).map_err(|it| invalid(vec![it]))?;
        document
    } else {
        Document::parse(path, params.raw.clone()).map_err(|it| does_not_parse(&it))?
    };
    // Of a text that does not parse, no secret can be kept; a candidate that needs one is refused by its mark.
    let before = before.unwrap_or_else(|_| Document::fresh(path));
    it.keep_secrets(&before).map_err(invalid)?;
    Ok(it)
}

fn reply(
    gateway: &Gateway,
    document: &Document,
    written: &Written,
    (params, kind): (&WriteParams, Kind),
    report: ReloadReport,
) -> WriteReply {
    let is_set = kind == Kind::Set;
    let restarts = report.how == ReloadHow::Restarting;
    let restart = Restart {
        ok: restarts,
        pid: std::process::id(),
        delay_ms: params.restart_delay_ms.unwrap_or(0),
        reason: kind.name().to_owned(),
        mode: if restarts { "emit" } else { "none" }.to_owned(),
    };
    WriteReply {
        ok: true,
        path: gateway.instance.config_path.display().to_string(),
        config: document::redacted(document.value(), REDACTED),
        hash: hash(gateway, document.text()),
        changed_paths: written.changes.iter().map(|it| it.path.clone()).collect(),
        generation: Some(report.how).filter(|it| is_in_force(*it)).and(report.generation),
        effect: Some(effect(&report)),
        restart: Some(restart).filter(|_| !is_set),
        sentinel: Some(json!({"persisted": false, "payload": payload(gateway, params, kind)}))
            .filter(|_| !is_set),
        reload: Some(report),
    }
}

fn is_in_force(how: ReloadHow) -> bool {
    matches!(how, ReloadHow::Applied | ReloadHow::Unchanged)
}

/// What the gateway did with it, for people.
fn effect(report: &ReloadReport) -> String {
    std::iter::once(report.how.words().to_owned())
        .chain(report.why.iter().cloned())
        .collect::<Vec<_>>()
        .join("; ")
}

/// What a restart would have to tell.
fn payload(gateway: &Gateway, params: &WriteParams, kind: Kind) -> Value {
    let mut payload = json!({
        "kind": kind.name().replace('.', "-"),
        "status": "ok",
        "ts": clock::now_ms(),
        "message": params.note,
        "doctorHint": format!("run: {} doctor", gateway.instance.command()),
        "stats": {"mode": kind.name(), "root": gateway.instance.state_dir},
    });
    if let Some(key) = params.session_key.as_deref() {
        payload["sessionKey"] = json!(key);
    }
    payload
}

fn does_not_parse(error: &Unreadable) -> Refusal {
    let found = whole(error);
    let place = if found.line > 0 {
        format!(" at line {}, column {}", found.line, found.column)
    } else {
        String::new()
    };
    let words = format!("the config does not parse{place}: {}", found.message);
    Refusal::invalid(words).details(json!({"issues": issues(vec![found])}))
}

fn invalid(found: Vec<Finding>) -> Refusal {
    Refusal::invalid(INVALID).details(json!({"issues": issues(found)}))
}

fn issues(found: Vec<Finding>) -> Vec<Issue> {
    found.into_iter().map(issue).collect()
}

fn changed(changes: &[Change]) -> Refusal {
    Refusal::invalid(CHANGED).details(json!({"changes": changes}))
}

fn not_written(error: NotWritten) -> Refusal {
    match error {
        NotWritten::Changed { changes, .. } => changed(&changes),
        NotWritten::Busy { .. } => Refusal::unavailable(error.to_string()).retryable(),
        NotWritten::Folder(_) | NotWritten::Io(_) => Refusal::unavailable(base::text::chain(&error)),
    }
}
