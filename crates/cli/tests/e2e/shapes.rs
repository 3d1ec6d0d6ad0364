//! The same walk through the control plane as the original was recorded in: each answer and event has every field that
//! the original's has, of the same type, and the events of a turn come in the same order; but for what
//! `shapes/deviations.txt` names with its reason, where each line must still be needed.
//!
//! `cargo run --release -p openclaw-benches -- --shapes` records the original again.

use testkit::ScriptedModel;
use testkit::shapes::{self, Shapes};

use crate::scene::{Scene, TOKEN};
use crate::support::sandbox;

const ORIGINAL: &str = include_str!("shapes/original.txt");
const DEVIATIONS: &str = include_str!("shapes/deviations.txt");

/// `WHICH PATH`, each with `*` for anything, below a line `# reason`.
struct Deviation<'a> {
    of: &'a str,
    path: &'a str,
    line: usize,
}

fn deviations() -> Vec<Deviation<'static>> {
    let mut has_reason = false;
    let mut all = Vec::new();
    for (at, line) in DEVIATIONS.lines().enumerate() {
        match line.strip_prefix('#') {
            Some(reason) => has_reason = !reason.trim().is_empty(),
            None if line.trim().is_empty() => has_reason = false,
            None => {
                assert!(has_reason, "line {} has no reason above it", at + 1);
                let (of, path) = line.rsplit_once(' ').expect("which, and a path");
                all.push(Deviation { of: of.trim(), path, line: at + 1 });
            }
        }
    }
    all
}

/// Whether a text is like a pattern in which `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let (last, between) = parts.split_last().expect("at least one");
    for part in between {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

#[test]
fn what_is_said_has_the_shape_of_what_the_original_says() {
    let model = ScriptedModel::start();
    shapes::script(&model);
    let scene = Scene::of(sandbox(), model, |_| {});
    let ours = shapes::record(scene.base.port(), TOKEN);
    let missing = Shapes::parse(ORIGINAL).beyond(&ours);
    let known = deviations();
    let is_known = |of: &str, path: &str| known.iter().any(|it| is_like(of, it.of) && is_like(path, it.path));
    let new: Vec<String> = missing
        .iter()
        .filter(|(of, path, _)| !is_known(of, path))
        .map(|(of, path, why)| format!("{of} {path}: {why}"))
        .collect();
    assert!(new.is_empty(), "{} differences that are not named:\n{}", new.len(), new.join("\n"));
    for it in known {
        let is_needed = missing.iter().any(|(of, path, _)| is_like(of, it.of) && is_like(path, it.path));
        assert!(is_needed, "line {} of the deviations is needed no longer: {} {}", it.line, it.of, it.path);
    }
}
