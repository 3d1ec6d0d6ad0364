//! The steps about what is there, which instance it is about, its port and its workspace.

use std::path::Path;

use profile::document::Document;
use profile::instance::same;
use profile::{Plan, listener};
use serde_json::{Value, json};

use super::scene::Scene;
use super::step::{Answer, Choice, Kind, Row, Section, Shown};
use super::writing;
use crate::setup;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "sections",
        asked: |it| it.only.as_ref().is_some_and(Vec::is_empty),
        show: sections,
        ..Row::PLAIN
    },
    Row { id: "found", asked: |it| it.only.is_none(), show: found, ..Row::PLAIN },
    Row { id: "risk", asked: |it| it.only.is_none(), show: risk, check: accepted, ..Row::PLAIN },
    Row {
        id: "profile",
        asked: |it| it.only.is_none() && it.is_open,
        show: profile,
        check: check_profile,
        ..Row::PLAIN
    },
    Row {
        id: "existing",
        asked: |it| it.only.is_none() && it.existing.is_some(),
        show: existing,
        ..Row::PLAIN
    },
    Row {
        id: "flow",
        asked: |it| it.only.is_none() && !it.keeps(),
        show: flow,
        check: check_flow,
        ..Row::PLAIN
    },
    Row {
        id: "gateway.port",
        section: Section::Gateway,
        quick: true,
        asked: |it| it.walks(Section::Gateway),
        show: port,
        check: check_port,
        said: |it| {
            it.text("gateway.port")
                .parse()
                .ok()
                .and_then(|it| Plan::of(it).ok())
                .map(|it| format!("Ports: {}", ports(&it)))
        },
        effect: |_, answer, draft| draft.port = answer.text().parse().ok(),
        ..Row::PLAIN
    },
    Row {
        id: "workspace",
        section: Section::Workspace,
        quick: true,
        asked: |it| it.walks(Section::Workspace),
        show: workspace,
        check: check_workspace,
        effect: |scene, answer, draft| {
            let path = scene.ambient.path(answer.text());
            // What a person wrote with a `~` stays so.
            let named = scene.config_text("agents.defaults.workspace").map(|it| scene.ambient.path(it));
            if named.as_ref() != Some(&path) {
                draft.set(["agents", "defaults", "workspace"], json!(path));
            }
            draft.workspace = Some(path);
        },
        ..Row::PLAIN
    },
];

/// The ports of a plan, for people.
pub(super) fn ports(plan: &Plan) -> String {
    let Plan { base, control, canvas, cdp } = plan;
    format!(
        "gateway {base}, browser control {control}, canvas {canvas}, browsers {}–{}",
        cdp.start(),
        cdp.end()
    )
}

fn sections(_: &Scene) -> Shown {
    let hint = |it| match it {
        Section::Workspace => "where the agent's files are",
        Section::Model => "who answers, and its key",
        Section::Channels => "where messages come from",
        Section::Gateway => "port, token or password",
        Section::Daemon => "what starts it",
        Section::Host | Section::Summary => "",
    };
    let choices = Section::NAMED.map(|it| Choice::new(it.name(), it.title(), hint(it)));
    Shown::new(Kind::Multiselect, "What do you want to change?")
        .explained(["Everything else stays as it is."])
        .choices(choices.into())
        .flag("--section")
}

fn found(scene: &Scene) -> Shown {
    let found = &scene.found;
    let mut lines: Vec<String> = Vec::new();
    for it in &found.instances {
        let port = it.port.map_or_else(String::new, |it| format!(", port {it}"));
        lines.push(format!(
            "Instance {}: {}{port}, in {}",
            it.name,
            it.state,
            scene.ambient.short(&it.folder)
        ));
    }
    if found.instances.is_empty() {
        lines.push("Instances: none yet; this will be the first".to_owned());
    }
    let keys: Vec<String> =
        super::model::keys(scene).map(|it| format!("{} ({})", it.name, it.key_name)).collect();
    lines.push(match keys.as_slice() {
        [] => "Keys in the environment: none".to_owned(),
        some => format!("Keys in the environment: {}", some.join(", ")),
    });
    let servers: Vec<String> =
        found.servers.iter().map(|it| format!("{} ({})", it.name, it.size())).collect();
    lines.push(match servers.as_slice() {
        [] => "Model servers on this machine: none answers".to_owned(),
        some => format!("Model servers that answer: {}", some.join(", ")),
    });
    let browser = found.browser.as_ref().map_or_else(|| "none".to_owned(), |it| it.display().to_string());
    lines.push(format!("Chromium: {browser}"));
    lines.push(match (found.services, found.linger) {
        (false, _) => "Services: no systemd for this user".to_owned(),
        (true, true) => "Services: systemd, and yours run on after you log out (linger)".to_owned(),
        (true, false) => "Services: systemd; yours end when you log out (no linger)".to_owned(),
    });
    Shown::new(Kind::Note, "Found on this host").explained(lines)
}

fn risk(_: &Scene) -> Shown {
    Shown::new(Kind::Confirm, "Do you want to go on?")
        .explained([
            "An agent acts for you: it reads and changes files in its workspace, and runs commands as your user. \
             Whoever may talk to it can ask it to.",
            "Begin with a workspace that holds nothing you cannot lose, keep the token to yourself, and use an \
             instance of its own for each purpose.",
        ])
        .flag("--accept-risk")
}

fn accepted(_: &Scene, answer: Answer) -> Result<Answer, String> {
    match answer {
        Answer::Yes(true) => Ok(answer),
        _ => Err("only with a yes does it go on; Ctrl-C leaves everything as it is".to_owned()),
    }
}

fn profile(scene: &Scene) -> Shown {
    let names: Vec<&str> = scene.found.instances.iter().map(|it| it.name.as_str()).collect();
    let there = if names.is_empty() { String::new() } else { format!(" There are: {}.", names.join(", ")) };
    Shown::new(Kind::Text, "Which instance is this about?")
        .explained([format!(
            "Each has a folder, a config, ports and a service of its own. \"default\" is the one in ~/.openclaw; any \
             other name makes a profile, as in ~/.openclaw-rescue.{there}"
        )])
        .default("default")
        .flag("--profile")
}

fn check_profile(scene: &Scene, answer: Answer) -> Result<Answer, String> {
    let instance = scene.named(answer.text())?;
    let own = scene.ambient.clone();
    match writing::existing(&instance, &own) {
        Ok(_) => Ok(Answer::Text(instance.name)),
        Err(error) => {
            Err(format!("{}; correct it first, or name another instance", base::text::chain(&error)))
        }
    }
}

fn existing(scene: &Scene) -> Shown {
    let path = scene.ambient.short(&scene.instance.config_path);
    let port = scene
        .existing
        .as_ref()
        .and_then(Document::port)
        .map_or_else(|| "none".to_owned(), |it| it.to_string());
    let model = scene.existing.as_ref().and_then(super::model::named).unwrap_or("not named").to_owned();
    Shown::new(
        Kind::Select { free: false },
        format!("Instance {} has a config. What with it?", scene.instance.name),
    )
    .explained([format!("{path}: port {port}, model {model}")])
    .choices(vec![
        Choice::new("change", "Go through it", "each question proposes what it says now"),
        Choice::new("keep", "Keep it", "only what is missing is added"),
        Choice::new("over", "Start over", "a snapshot first; conversations stay"),
    ])
    .default("change")
    .flag("--existing")
}

fn flow(_: &Scene) -> Shown {
    Shown::new(Kind::Select { free: false }, "How many questions?")
        .choices(vec![
            Choice::new("quickstart", "Only the model", "everything else as proposed; the summary shows it"),
            Choice::new("advanced", "Every question", "port, workspace, channels, access"),
        ])
        .default("quickstart")
        .flag("--flow")
}

/// The original has a third word for the second.
fn check_flow(_: &Scene, answer: Answer) -> Result<Answer, String> {
    Ok(answer)
}

fn port(scene: &Scene) -> Shown {
    let mut lines =
        vec!["Each instance needs a few ports around its base. Keep 20 between two bases.".to_owned()];
    for it in scene.found.instances.iter().filter(|it| it.folder != scene.instance.state_dir) {
        if let Some(port) = it.port {
            lines.push(format!("Instance {} has base port {port}.", it.name));
        }
    }
    let shown = Shown::new(Kind::Text, format!("Base port of instance {}", scene.instance.name))
        .flag("--gateway-port");
    // Also where it is begun anew: whoever connects to it knows this port.
    let own = scene.existing.as_ref().and_then(Document::port);
    let proposed = scene.instance.env_port.or(own).or_else(|| setup::proposed(&scene.instance));
    match proposed.and_then(|it| Plan::of(it).ok()) {
        Some(plan) => shown
            .explained(lines)
            .explained([format!("The ports with {}: {}.", plan.base, ports(&plan))])
            .default(plan.base.to_string()),
        None => shown.explained(lines),
    }
}

fn check_port(scene: &Scene, answer: Answer) -> Result<Answer, String> {
    let text = answer.text();
    let port: u16 = text.parse().ok().filter(|it| *it > 0).ok_or_else(|| {
        format!("\"{}\" is no port: a number from 1 to 65535 is needed", base::text::line(text, 40))
    })?;
    let plan = Plan::of(port).map_err(|error| error.to_string())?;
    let instance = &scene.instance;
    let pinned = scene.existing.as_ref().map(Document::pinned_ports).unwrap_or_default();
    if let Err(overlap) = instance.host.check_ports(&instance.state_dir, &plan, &pinned) {
        return Err(format!("instance {} cannot have it: {overlap}", instance.name));
    }
    // Its own gateway may be running on it.
    let is_own = scene.existing.as_ref().and_then(Document::port) == Some(port);
    let fixed = plan.fixed().into_iter().filter(|_| !is_own);
    if let Some((role, port)) = fixed.into_iter().find(|(_, port)| listener::is_bound(*port)) {
        let who = listener::who(port).map_or_else(|| "another program".to_owned(), |it| it.to_string());
        return Err(format!("port {port}, the {role}, is taken by {who}; choose another base"));
    }
    Ok(Answer::Text(port.to_string()))
}

fn workspace(scene: &Scene) -> Shown {
    let named = scene.config_text("agents.defaults.workspace").map(str::to_owned);
    let default = named.unwrap_or_else(|| scene.ambient.short(&scene.instance.workspace));
    Shown::new(Kind::Text, "Folder of the agent's files")
        .explained([
            "The agent works here: notes, its character (SOUL.md), what it knows of you (USER.md). What is there \
             already is kept.",
        ])
        .default(default)
        .flag("--workspace")
}

fn check_workspace(scene: &Scene, answer: Answer) -> Result<Answer, String> {
    let path = scene.ambient.path(answer.text());
    if path.exists() && !path.is_dir() {
        return Err(format!("{} is a file; name a folder", path.display()));
    }
    let is_home = scene.ambient.home().is_some_and(|it| same(&it, &path));
    // The agent would find the config with its secrets there.
    if is_home || path.parent().is_none() || scene.instance.state_dir.starts_with(&path) {
        return Err("the agent may change everything in it: name a folder of its own".to_owned());
    }
    let other = scene.found.instances.iter().filter(|it| it.folder != scene.instance.state_dir);
    for it in other {
        if uses(&it.config_path, scene, &path) {
            return Err(format!(
                "instance {} works in {}; two must not share a folder",
                it.name,
                path.display()
            ));
        }
    }
    Ok(answer)
}

/// Whether the config there names this workspace.
fn uses(config: &Path, scene: &Scene, path: &Path) -> bool {
    let Ok(document) = Document::load(config) else { return false };
    let named = document.get("agents.defaults.workspace").and_then(Value::as_str);
    named.is_some_and(|it| same(&scene.ambient.path(it), path))
}
