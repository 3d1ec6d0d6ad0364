//! What stands in the place of an instance's unit, and whether it is the instance's own: the one judgement that every
//! command goes by.

use std::fs;
use std::path::{Path, PathBuf};

use profile::{Ambient, Instance, instance};
use serde::Serialize;

use super::systemd::{self, Scope, Trouble};
use super::text::{self, Standing};
use crate::doctor::{Severity, words};
use crate::update::candidate;

/// A unit that is there.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Its file.
    #[serde(skip)]
    pub unit: PathBuf,
    /// Whose systemd reads it.
    #[serde(skip)]
    pub scope: Scope,
    /// Whose it is.
    pub standing: Standing,
    /// What is not as it should be.
    pub drift: Vec<Drift>,
    /// What an install would change, a line each: `-` goes, `+` comes. Nothing of a unit that is not the instance's.
    pub difference: Vec<String>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
}

/// What a unit says of what it starts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    program: Option<String>,
    profile: Option<String>,
    port: Option<u16>,
    state_dir: Option<String>,
    user: Option<String>,
}

/// Looks at the unit of an instance; `None` where there is none. `port` is the instance's, where it is known.
pub fn of(instance: &Instance, ambient: &Ambient, port: Option<u16>) -> Option<Judged> {
    let service = super::of(instance, ambient);
    let unit = service.unit()?;
    let scope = super::scope(unit);
    let mut judged = Judged {
        unit: unit.to_path_buf(),
        scope,
        standing: Standing::Foreign,
        drift: Vec::new(),
        difference: Vec::new(),
    };
    let text = match fs::read_to_string(unit) {
        Ok(it) => it,
        Err(error) => {
            judged.drift.push(Drift { severity: Severity::Warn, what: format!("cannot be read: {error}") });
            return Some(judged);
        }
    };
    let start = Start::of(&text);
    judged.drift = start.wrong(instance, port);
    // The machine's manager starts it as root where nothing is said.
    let user = (scope == Scope::System).then(|| start.user.clone().unwrap_or_else(|| "root".to_owned()));
    let there = start.program.clone().map(PathBuf::from);
    match systemd::wanted_by(instance, ambient, user, there) {
        Ok(wanted) => {
            judged.standing = wanted.compare(Some(&text));
            if matches!(judged.standing, Standing::Older | Standing::Edited) {
                judged.difference = text::difference(&text, &wanted.text());
            }
        }
        // It runs below another home than the one that is looked at, or as nobody that is known here.
        Err(Trouble::OtherHome { .. } | Trouble::NoUser(_)) if text::is_ours(&text) => {
            judged.standing = Standing::Other;
        }
        Err(_) => {}
    }
    let is_told = |it: Severity| judged.drift.iter().any(|drift| drift.severity == it);
    let more = match judged.standing {
        Standing::Other if !is_told(Severity::Error) => Some((Severity::Error, "runs another instance")),
        Standing::Edited => Some((Severity::Info, "was changed by hand")),
        Standing::Older if judged.drift.is_empty() => {
            Some((Severity::Info, "was written for other flags, or by another version"))
        }
        _ => None,
    };
    judged.drift.extend(more.map(|(severity, what)| Drift { severity, what: what.to_owned() }));
    Some(judged)
}

/// Whether a process runs a program whose file was replaced or taken away since.
pub fn runs_replaced(pid: &str) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    program.is_ok_and(|it| it.to_string_lossy().ends_with(" (deleted)"))
}

impl Judged {
    /// Whether it may be started, stopped and taken away in the instance's name.
    pub fn is_own(&self) -> bool {
        matches!(self.standing, Standing::Same | Standing::Older | Standing::Edited)
    }
}

impl Start {
    /// What does not lead to this instance, with a program that is there, on its port.
    fn wrong(&self, own: &Instance, port: Option<u16>) -> Vec<Drift> {
        let mut found = Vec::new();
        let mut tell = |severity, what| found.push(Drift { severity, what });
        if let Some(program) = self.program.as_deref().filter(|it| it.starts_with('/')) {
            let ours = Ambient::program().ok();
            if !Path::new(program).exists() {
                tell(Severity::Error, format!("starts {program}, which is not there"));
            } else if let Err(why) = candidate::can_run(Path::new(program)) {
                tell(Severity::Error, format!("starts {program}, which cannot be run: {why}"));
            } else if ours.is_some_and(|it| !instance::same(&it, Path::new(program))) {
                tell(Severity::Info, format!("starts {program}, which is another program than this one"));
            }
        }
        let profile = own.profile.as_ref().map(ToString::to_string);
        if self.profile.is_some() && self.profile != profile {
            let named = self.profile.as_deref().unwrap_or_default();
            tell(Severity::Error, format!("starts profile {named}, not {}", own.name));
        }
        if let Some(folder) = &self.state_dir
            && !instance::same(Path::new(folder), &own.state_dir)
        {
            tell(Severity::Error, format!("starts a gateway in {folder}"));
        }
        if let (Some(theirs), Some(ours)) = (self.port, port)
            && theirs != ours
        {
            tell(Severity::Warn, format!("starts it on port {theirs}, where the config says {ours}"));
        }
        found
    }

    fn of(unit: &str) -> Self {
        let mut found = Self::default();
        for line in unit.lines().map(str::trim) {
            if let Some(command) = line.strip_prefix("ExecStart=") {
                found.command(command);
            } else if let Some(variables) = line.strip_prefix("Environment=") {
                found.variables(variables);
            } else if let Some(user) = line.strip_prefix("User=") {
                found.user = Some(user.trim().to_owned()).filter(|it| !it.is_empty());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_says_what_it_starts() {
        let unit = "[Service]\nExecStart=-/opt/open claw\nExecStart=\"/opt/open claw/openclaw\" --profile work gateway run \
                    --port=19021\nEnvironment=\"OPENCLAW_STATE_DIR=/a b\" HOME=/x\nUser=ada\n";
        let text = |it: &str| Some(it.to_owned());
        let expected = Start {
            program: text("/opt/open claw/openclaw"),
            profile: text("work"),
            port: Some(19021),
            state_dir: text("/a b"),
            user: text("ada"),
        };
        assert_eq!(Start::of(unit), expected);
        assert_eq!(Start::of("[Service]"), Start::default());
    }

    #[test]
    fn whose_a_unit_is_goes_by_where_it_leads() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().display().to_string();
        let ambient = Ambient::of(&[("HOME", &home)], folder.path());
        let profile = |it: &str| profile::ProfileName::parse(it).expect("a name");
        let main = Instance::of_profile(&ambient, profile("main")).expect("resolves");
        let two = Instance::of_profile(&ambient, profile("two")).expect("resolves");
        assert!(of(&main, &ambient, None).is_none());
        let unit = folder.path().join(".config/systemd/user").join(main.unit());
        base::file::private_folder(unit.parent().expect("it is in a folder")).expect("made");
        let text = |it: &Instance| systemd::wanted(it, &ambient, None).expect("this user is known").text();
        let own = text(&main);
        let moved = Path::new("/nowhere/openclaw");
        let gone = systemd::wanted(&main, &ambient, None)
            .map(|it| text::Wanted { program: moved.to_path_buf(), ..it });
        for (there, standing, is_own, told) in [
            (own.clone(), Standing::Same, true, ""),
            (gone.expect("this user is known").text(), Standing::Older, true, "is not there"),
            (own.replace("TasksMax=", "TasksMax=1"), Standing::Edited, true, "changed by hand"),
            (text(&two), Standing::Other, false, "starts profile two"),
            (own.split_once('\n').expect("lines").1.to_owned(), Standing::Foreign, false, ""),
        ] {
            base::file::replace(&unit, there.as_bytes()).expect("written");
            let judged = of(&main, &ambient, None).expect("it is there");
            assert_eq!((judged.standing, judged.is_own()), (standing, is_own), "{judged:?}");
            let drift: Vec<_> = judged.drift.iter().map(|it| it.what.as_str()).collect();
            assert!(
                if told.is_empty() { drift.is_empty() } else { drift.join(" ").contains(told) },
                "{drift:?}"
            );
        }
    }
}
