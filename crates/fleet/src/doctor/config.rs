//! The config file, and what else decides what a gateway obeys.

use std::fs;

use profile::document::Unreadable;
use profile::generations;

use super::{Finding, Scene, Severity};

const LEFT: &str = "a file that does not parse is never rewritten, so that nothing in it is lost";

/// Whether the file is there and parses.
pub(super) fn file(scene: &Scene<'_>) -> Vec<Finding> {
    let place = scene.short(&scene.instance.config_path);
    let error = match &scene.document {
        Ok(_) => return Vec::new(),
        Err(Unreadable::Missing(_)) if !scene.is_there() => return Vec::new(),
        Err(error) => error,
    };
    let last = generations::last(&scene.instance.state_dir);
    let (what, why) = match error {
        Unreadable::Missing(_) => ("there is no config file".to_owned(), "a gateway starts by its config"),
        Unreadable::Syntax { finding, .. } => (format!("does not parse: {finding}"), LEFT),
        Unreadable::Io { source, .. } => {
            (format!("cannot be read: {source}"), "a gateway starts by its config")
        }
    };
    let found = Finding::new(Severity::Error, place, what, why);
    vec![match (error, last) {
        (Unreadable::Io { .. }, _) => found.advise("make it readable for you, or act as its owner"),
        (_, Some(_)) => found.run(scene.command("config rollback")),
        (Unreadable::Missing(_), None) => found.run(scene.command("setup")),
        (Unreadable::Syntax { .. }, None) => found.advise("correct the file at that place"),
    }]
}

/// Everything that a gateway would say of it.
pub(super) fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let judged = scene.judged();
    let errors = judged.errors.iter().map(|it| (Severity::Error, it, "a gateway does not start with this"));
    let warnings = judged.warnings.iter().map(|it| (Severity::Warn, it, "the gateway goes on without it"));
    let place = |it: &profile::Finding| {
        let is_named = !it.file.as_os_str().is_empty();
        let file = scene.short(if is_named { &it.file } else { &scene.instance.config_path });
        if it.line == 0 { file } else { format!("{file}:{}", it.line) }
    };
    let told = |(severity, it, why): (Severity, &profile::Finding, &str)| {
        let what =
            if it.path.is_empty() { it.message.clone() } else { format!("{}: {}", it.path, it.message) };
        let found = Finding::new(severity, place(it), what, why);
        match () {
            () if it.path.is_empty() => found.advise("correct the file"),
            () if !it.remedy.is_empty() => found.advise(&it.remedy),
            () => found.run(scene.command(&format!("config set {} VALUE", it.path))),
        }
    };
    errors.chain(warnings).map(told).collect()
}

/// Whether the file is another one than the gateway runs by, or ran by last.
pub(super) fn generation(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(last) = generations::last(&scene.instance.state_dir) else { return Vec::new() };
    let text = fs::read_to_string(&scene.instance.config_path).unwrap_or_default();
    if last.is(&text) || scene.holder.is_none() {
        return Vec::new();
    }
    let place = scene.short(&scene.instance.config_path);
    let is_good = scene.document.is_ok() && scene.judged().errors.is_empty();
    let number = last.number;
    if is_good {
        let what =
            format!("changed since generation {number} was accepted, which the gateway may still run by");
        let found = Finding::new(Severity::Info, place, what, "a change counts once it is in force");
        return vec![found.run(scene.command("config diff"))];
    }
    let what = format!("the gateway runs by generation {number}, not by this file");
    let why = "what is written in the file has no effect until it is right";
    vec![Finding::new(Severity::Warn, place, what, why).run(scene.command("config rollback"))]
}

/// A `.env` of the working directory that names an instance.
pub(super) fn stray(scene: &Scene<'_>) -> Vec<Finding> {
    let path = scene.ambient.path(".env");
    let names = selectors(&fs::read_to_string(&path).unwrap_or_default());
    if names.is_empty() || path.parent() == Some(&scene.instance.state_dir) {
        return Vec::new();
    }
    let what = format!("sets {}, which is not read", names.join(", "));
    let why = "a folder that somebody works in must not decide which instance runs";
    let found = Finding::new(Severity::Info, scene.short(&path), what, why);
    vec![found.advise("export these in the shell, or name the instance with --profile")]
}

/// Lines of the state folder's own `.env` files that are passed over.
pub(super) fn variables(scene: &Scene<'_>) -> Vec<Finding> {
    let files = [".env", "keys.env"].map(|it| scene.instance.state_dir.join(it)).into_iter();
    let look = |path: std::path::PathBuf| {
        let names = selectors(&fs::read_to_string(&path).ok()?);
        if names.is_empty() {
            return None;
        }
        let what = format!("sets {}, which is not obeyed", names.join(", "));
        let why = "a file of the state folder must not move the gateway that it belongs to";
        let found = Finding::new(Severity::Warn, scene.short(&path), what, why);
        Some(found.advise("take the lines out, and set the same in the config"))
    };
    files.filter_map(look).collect()
}

/// The variables of a file that would select an instance.
fn selectors(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim();
        let name = line.strip_prefix("export ").unwrap_or(line).split_once('=')?.0.trim();
        name.starts_with("OPENCLAW_").then(|| base::text::line(name, 64))
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_select_an_instance_is_told() {
        for (text, expected) in [
            ("", ""),
            ("OPENAI_API_KEY=sk-1\n# OPENCLAW_STATE_DIR=/x", ""),
            (
                "OPENCLAW_STATE_DIR=/x\nexport OPENCLAW_GATEWAY_PORT = 1",
                "OPENCLAW_STATE_DIR OPENCLAW_GATEWAY_PORT",
            ),
        ] {
            assert_eq!(selectors(text).join(" "), expected, "{text}");
        }
    }
}
