//! The config document: what of it has an effect here, and its copy for another instance.

use std::path::{Path, PathBuf};

use profile::document::Unreadable;
use profile::{Document, Instance};
use serde_json::{Value, json};

use super::report::{Finding, Kind};
use super::{CHANNELS, ImportError, Source, Target};

/// The sections that have an effect here.
const OBEYED: [&str; 5] = ["gateway", "agents", "models", "tools", "logging"];
/// Below `channels`, what is no channel.
const NO_CHANNEL: &str = "defaults";

/// The document of the source; `Ok(None)` where there is none.
pub(super) fn load(instance: &Instance) -> Result<Option<Document>, Unreadable> {
    match Document::load(&instance.config_path) {
        Ok(it) => Ok(Some(it)),
        Err(Unreadable::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rows of the document.
pub(super) fn rows(document: &Document, target: &Target<'_>) -> Vec<Finding> {
    let sections = document.value().as_object();
    let (obeyed, others): (Vec<_>, Vec<_>) = sections
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        // Bookkeeping of the original's own, and what has rows of its own.
        .filter(|it| !matches!(*it, "meta" | "wizard" | "$schema" | "channels"))
        .partition(|it| OBEYED.contains(it));
    let path = document.path().display();
    if let Target::Other { instance, .. } = target
        && instance.config_path.symlink_metadata().is_ok()
    {
        let why = format!("{} is there already", instance.config_path.display());
        return vec![Finding::stays(Kind::Config, path.to_string(), why)];
    }
    let what = match target {
        Target::InPlace => format!("{path} is read as it is ({})", obeyed.join(", ")),
        Target::Other { port, .. } => {
            format!("{path} ({}), with port {port} and a token of its own", obeyed.join(", "))
        }
    };
    let mut rows = vec![Finding::comes(Kind::Config, what)];
    let kept = "kept in the file, and without effect here yet";
    rows.extend(others.iter().map(|it| Finding::stays(Kind::Config, format!("section `{it}`"), kept)));
    rows
}

/// The channels that the document names.
pub(super) fn channels(document: &Document) -> Vec<String> {
    let channels = document.get("channels").and_then(Value::as_object);
    channels.into_iter().flatten().map(|(id, _)| id.clone()).filter(|it| it != NO_CHANNEL).collect()
}

/// Writes the document for another instance, unless that one has one. True when it was written.
pub(super) fn copy(
    source: &Source<'_>,
    document: Option<&Document>,
    target: &Target<'_>,
) -> Result<bool, ImportError> {
    let Target::Other { instance, port } = target else { return Ok(false) };
    if instance.config_path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let fresh = Document::fresh(&instance.config_path);
    let mut copy = document.cloned().map_or(fresh, |it| it.at(&instance.config_path));
    let changed =
        |found| ImportError::Config { path: instance.config_path.clone(), finding: Box::new(found) };
    for (keys, text) in copy.texts() {
        if let Some(moved) = moved(source, &text, &instance.state_dir) {
            copy.set_at(&keys, &json!(moved)).map_err(changed)?;
        }
    }
    for id in channels(&copy).iter().filter(|it| !CHANNELS.contains(&it.as_str())) {
        copy.remove_at(&["channels", id]).map_err(changed)?;
    }
    copy.remove_at(&["gateway", "auth", "password"]).map_err(changed)?;
    let values = [
        ("gateway.mode", json!("local")),
        ("gateway.port", json!(port)),
        ("gateway.auth.mode", json!("token")),
        ("gateway.auth.token", json!(base::random::hex::<24>())),
        ("agents.defaults.workspace", json!(instance.workspace)),
    ];
    for (key, value) in values {
        copy.set(key, &value).map_err(changed)?;
    }
    copy.save()?;
    Ok(true)
}

/// The default agent's workspace, by the config or by the places where the original has it.
pub(super) fn workspace(source: &Source<'_>, document: Option<&Document>) -> Option<PathBuf> {
    let named = document.and_then(|it| it.get("agents.defaults.workspace")).and_then(Value::as_str);
    if let Some(text) = named {
        return Some(source.ambient.path(text));
    }
    let instance = source.instance;
    let beside = instance.profile.as_ref().and_then(|profile| {
        let main = source.ambient.home()?.join(".openclaw");
        Some(main.join(format!("workspace-{profile}")))
    });
    let own = [instance.workspace.clone(), instance.state_dir.join("workspace")];
    own.into_iter().chain(beside).find(|it| it.is_dir())
}

/// A path within the source's state folder, as it is within the target's; `None` for any other text.
fn moved(source: &Source<'_>, text: &str, to: &Path) -> Option<String> {
    if !text.starts_with(['/', '~']) {
        return None;
    }
    let path = source.ambient.path(text);
    let rest = path.strip_prefix(&source.instance.state_dir).ok()?;
    let whole = if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) };
    Some(whole.to_string_lossy().into_owned())
}
