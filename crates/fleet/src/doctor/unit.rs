//! The service: whether its unit starts this instance, and goes on when nobody is logged in.

use std::fs;
use std::path::{Path, PathBuf};

use profile::{Ambient, instance};

use super::{Finding, Scene, Severity};
use crate::service::{self, Service};

/// Where the kernel's users who may run without a login are noted.
const LINGER: &str = "/var/lib/systemd/linger";

/// What a unit says of what it starts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    program: Option<String>,
    profile: Option<String>,
    port: Option<u16>,
    state_dir: Option<String>,
}

/// Whether the unit starts this instance, with a program that is there, on its port.
pub(super) fn drift(scene: &Scene<'_>) -> Vec<Finding> {
    let service = service::of(scene.instance, scene.ambient);
    let Some(unit) = service.unit() else { return Vec::new() };
    let Ok(text) = fs::read_to_string(unit) else { return Vec::new() };
    let start = Start::of(&text);
    let why = "the service starts something else than you see here";
    let scope = if unit.starts_with("/etc") { "" } else { "--user " };
    let command = format!("systemctl {scope}edit --full {}", scene.instance.unit());
    let told = wrong(&start, scene)
        .into_iter()
        .map(|(severity, what)| Finding::new(severity, scene.short(unit), what, why).run(&command));
    told.collect()
}

fn wrong(start: &Start, scene: &Scene<'_>) -> Vec<(Severity, String)> {
    let mut found = Vec::new();
    if let Some(program) = start.program.as_deref().filter(|it| it.starts_with('/')) {
        let ours = Ambient::program().ok();
        if !Path::new(program).exists() {
            found.push((Severity::Error, format!("starts {program}, which is not there")));
        } else if ours.is_some_and(|it| !instance::same(&it, Path::new(program))) {
            found.push((Severity::Info, format!("starts {program}, which is another program than this one")));
        }
    }
    let own = scene.instance.profile.as_ref().map(ToString::to_string);
    if start.profile.is_some() && start.profile != own {
        let named = start.profile.as_deref().unwrap_or_default();
        found.push((Severity::Error, format!("starts profile {named}, not {}", scene.instance.name)));
    }
    if let Some(folder) = &start.state_dir
        && !instance::same(Path::new(folder), &scene.instance.state_dir)
    {
        found.push((Severity::Error, format!("starts a gateway in {folder}")));
    }
    if let (Some(theirs), Some(ours)) = (start.port, scene.port())
        && theirs != ours
    {
        found.push((Severity::Warn, format!("starts it on port {theirs}, where the config says {ours}")));
    }
    found
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

impl Start {
    fn of(unit: &str) -> Self {
        let mut found = Self::default();
        for line in unit.lines().map(str::trim) {
            if let Some(command) = line.strip_prefix("ExecStart=") {
                found.command(command);
            } else if let Some(variables) = line.strip_prefix("Environment=") {
                found.variables(variables);
            }
        }
        found
    }

    fn command(&mut self, line: &str) {
        let words: Vec<String> = words(line.trim_start_matches(['-', '@', ':', '+', '!']));
        self.program = words.first().cloned();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None if matches!(word.as_str(), "--profile" | "--port") => {
                    (word.as_str(), rest.next().cloned())
                }
                None => continue,
            };
            match name {
                "--profile" => self.profile = value.filter(|it| it != "default"),
                "--port" => self.port = value.and_then(|it| it.parse().ok()).or(self.port),
                _ => {}
            }
        }
    }

    fn variables(&mut self, line: &str) {
        for it in words(line) {
            match it.split_once('=') {
                Some(("OPENCLAW_STATE_DIR", value)) => self.state_dir = Some(value.to_owned()),
                Some(("OPENCLAW_PROFILE", value)) => self.profile = Some(value.to_owned()),
                Some(("OPENCLAW_GATEWAY_PORT", value)) => self.port = value.parse().ok().or(self.port),
                _ => {}
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_says_what_it_starts() {
        let unit = "[Service]\nExecStart=-/opt/open claw\nExecStart=\"/opt/open claw/openclaw\" --profile work gateway run \
                    --port=19021\nEnvironment=\"OPENCLAW_STATE_DIR=/a b\" HOME=/x\n";
        let text = |it: &str| Some(it.to_owned());
        let expected = Start {
            program: text("/opt/open claw/openclaw"),
            profile: text("work"),
            port: Some(19021),
            state_dir: text("/a b"),
        };
        assert_eq!(Start::of(unit), expected);
        assert_eq!(Start::of("[Service]"), Start::default());
    }
}
