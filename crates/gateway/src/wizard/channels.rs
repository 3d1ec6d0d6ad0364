//! The steps about channels. A channel declares itself here: its questions are rows like any other, with a live check
//! of its token, and are asked where it is chosen.

use super::scene::Scene;
use super::step::{Answer, Choice, Kind, Row, Section, Shown};

/// A channel, as the walk knows it.
struct Channel {
    id: &'static str,
    name: &'static str,
    hint: &'static str,
    /// Whether it is there without being asked for.
    is_always_on: bool,
    /// What it must be told; each row is asked where [`is_chosen`] says so.
    steps: &'static [Row],
}

const CHANNELS: &[Channel] = &[Channel {
    id: "webchat",
    name: "Webchat",
    hint: "part of every gateway; nothing to set up",
    is_always_on: true,
    steps: &[],
}];

const CHOICE: &[Row] = &[Row {
    id: "channels",
    section: Section::Channels,
    quick: true,
    asked: |it| it.walks(Section::Channels),
    show: channels,
    ..Row::PLAIN
}];

/// The choice, and after it the questions of each channel.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    CHOICE.iter().chain(CHANNELS.iter().flat_map(|it| it.steps))
}

/// Where there is nothing to choose, it is only said.
fn channels(scene: &Scene) -> Shown {
    let (on, others): (Vec<_>, Vec<_>) = CHANNELS.iter().partition(|it| it.is_always_on);
    let said = on.iter().map(|it| format!("{}: {}.", it.name, it.hint));
    if others.is_empty() {
        return Shown::new(Kind::Note, "Where messages come from")
            .explained(said)
            .explained(["It is the only channel of this version."]);
    }
    let chosen: Vec<&str> = others.iter().filter(|it| is_chosen(scene, it.id)).map(|it| it.id).collect();
    Shown::new(Kind::Multiselect, "Where do messages come from?")
        .explained(said)
        .choices(others.iter().map(|it| Choice::new(it.id, it.name, it.hint)).collect())
        .default(chosen)
        .flag("--channels")
}

/// Whether a channel is wanted: as answered, else as the config has it.
fn is_chosen(scene: &Scene, id: &str) -> bool {
    match scene.answer("channels") {
        Some(Answer::Many(chosen)) => chosen.iter().any(|it| it == id),
        _ => scene.config(&format!("channels.{id}")).is_some(),
    }
}
