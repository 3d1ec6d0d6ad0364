//! The service: whether its unit starts this instance, and goes on when nobody is logged in.

use std::path::{Path, PathBuf};

use profile::Ambient;

use super::{Finding, Scene, Severity};
use crate::service::systemd::Scope;
use crate::service::text::Standing;
use crate::service::{self, Service, judge};

/// Where the kernel's users who may run without a login are noted.
const LINGER: &str = "/var/lib/systemd/linger";

/// Whether the unit starts this instance, with a program that is there, on its port.
pub(super) fn drift(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(judged) = judge::of(scene.instance, scene.ambient, scene.port()) else { return Vec::new() };
    let why = "the service starts something else than you see here";
    let scope = if judged.scope == Scope::System { "" } else { "--user " };
    let command = match judged.standing {
        Standing::Older => format!("{} gateway install", scene.instance.command()),
        Standing::Edited => format!("{} gateway install --dry-run", scene.instance.command()),
        _ => format!("systemctl {scope}edit --full {}", scene.instance.unit()),
    };
    let place = scene.short(&judged.unit);
    let told = |it: judge::Drift| Finding::new(it.severity, &place, it.what, why).run(&command);
    judged.drift.into_iter().map(told).collect()
}

/// Whether a user's service outlives the login, and can be reached.
pub(super) fn linger(scene: &Scene<'_>) -> Vec<Finding> {
    let service = service::of(scene.instance, scene.ambient);
    let Service::Installed { unit, enabled: true } = &service else { return Vec::new() };
    // A unit of the machine needs no login.
    if unit.starts_with("/etc") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let place = scene.short(unit);
    let user = scene.ambient.var("USER").or_else(|| scene.ambient.var("LOGNAME"));
    if let Some(user) = user.filter(|it| Path::new(LINGER).is_dir() && !Path::new(LINGER).join(it).exists()) {
        let why = "the gateway stops with your last login, and does not start with the machine";
        let what = format!("user {user} may not run services without a login");
        let command = format!("sudo loginctl enable-linger {user}");
        found.push(Finding::new(Severity::Warn, &place, what, why).run(command));
    }
    if !bus(scene.ambient).exists() {
        let why = "the service can be neither asked nor steered from here";
        let what = "the user's service manager cannot be reached";
        let found_here = Finding::new(Severity::Warn, place, what, why);
        found.push(found_here.advise("log in as this user itself, not by su, or set XDG_RUNTIME_DIR"));
    }
    found
}

fn bus(ambient: &Ambient) -> PathBuf {
    let me = rustix::process::geteuid().as_raw();
    let folder = ambient.var("XDG_RUNTIME_DIR").map(|it| ambient.path(it));
    folder.unwrap_or_else(|| PathBuf::from(format!("/run/user/{me}"))).join("bus")
}

/// The words of a line of a unit; quotes keep spaces in a word, and a backslash the next letter.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut word, mut quote, mut is_word) = (String::new(), None, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (_, '\\') => {
                word.extend(letters.next());
                is_word = true;
            }
            (Some(it), _) if it == letter => quote = None,
            (None, '"' | '\'') => (quote, is_word) = (Some(letter), true),
            (None, _) if letter.is_whitespace() => {
                if is_word {
                    found.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            _ => {
                word.push(letter);
                is_word = true;
            }
        }
    }
    if is_word {
        found.push(word);
    }
    found
}
