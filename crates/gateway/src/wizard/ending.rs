//! The last steps: what starts the gateway, and what will be written.

use serde_json::json;

use super::draft::Draft;
use super::scene::Scene;
use super::step::{Answer, Kind, Row, Section, Shown};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "service",
        section: Section::Daemon,
        asked: |it| it.walks(Section::Daemon) && it.given("service") != Some(&json!(false)),
        show: service,
        ..Row::PLAIN
    },
    Row { id: "summary", section: Section::Summary, show: summary, check: confirmed, ..Row::PLAIN },
];

fn service(scene: &Scene) -> Shown {
    let command = scene.instance.command();
    let standing = fleet::service::of(&scene.instance, &scene.ambient);
    if let Some(unit) = standing.unit() {
        return Shown::new(Kind::Note, "What runs the gateway")
            .explained([format!("It has a service: {}", scene.ambient.short(unit))]);
    }
    if !(scene.installs && scene.found.services) {
        return Shown::new(Kind::Note, "What runs the gateway").explained([
            format!("Start it with: {command} gateway"),
            format!("In the background: openclaw fleet start {}", scene.instance.name),
            format!("With the machine, and again when it fails: {command} gateway install"),
        ]);
    }
    let mut lines = vec!["A service starts it with the machine, and again when it fails.".to_owned()];
    if !scene.found.linger {
        lines.push(
            "Yours end when you log out; for more, run once: sudo loginctl enable-linger \"$USER\""
                .to_owned(),
        );
    }
    Shown::new(Kind::Confirm, "Install it as a service?")
        .explained(lines)
        .default(true)
        .flag("--install-daemon or --no-install-daemon")
}

fn summary(scene: &Scene) -> Shown {
    let draft = Draft::of(scene, &super::rows());
    let mut lines = vec![format!(
        "Instance {}, config {}",
        scene.instance.name,
        scene.ambient.short(&scene.instance.config_path)
    )];
    match draft.whole(scene) {
        Ok(whole) => {
            if scene.starts_over() {
                lines.push("The config is begun anew; a snapshot of the instance is taken first.".to_owned());
            }
            let changes = whole.changes(scene);
            if changes.is_empty() {
                lines.push("The config stays as it is.".to_owned());
            }
            lines.extend(changes.iter().map(|it| match (&it.before, &it.after) {
                (None, Some(after)) => format!("+ {}: {after}", it.path),
                (Some(before), None) => format!("- {}: {before}", it.path),
                _ => format!("~ {it}"),
            }));
            if !whole.workspace.is_dir() {
                lines.push(format!("+ folder {}", scene.ambient.short(&whole.workspace)));
            }
        }
        Err(finding) => lines.push(format!("This cannot be written: {finding}")),
    }
    Shown::new(Kind::Confirm, "Write this?")
        .explained(lines)
        .explained(["Nothing was written so far."])
        .default(true)
}

/// A no is no answer to stay with: who wants nothing written goes back, or cancels.
fn confirmed(scene: &Scene, answer: Answer) -> Result<Answer, String> {
    let whole = Draft::of(scene, &super::rows()).whole(scene).map_err(|it| it.to_string())?;
    let findings = super::writing::findings(&scene.instance, &whole.document, &scene.ambient);
    if let Some(it) = findings.first() {
        return Err(format!("a gateway could not run with this: {it}"));
    }
    Ok(answer)
}
