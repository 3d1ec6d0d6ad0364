//! The supervisors that are not systemd: which one this machine has, what an instance's service is there, and what it is
//! told. systemd, which can do more, has a file of its own.

use std::fs;
use std::path::PathBuf;

use profile::{Ambient, Instance};
use rustix::process::geteuid;

use super::steps::{Step, Verb};
use super::systemd::{self, Trouble};
use super::text::{Standing, Wanted};
use super::{launchd, schtasks};

/// A supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// That of macOS.
    Launchd,
    /// The task scheduler of Windows.
    Scheduler,
}

/// The service of an instance, as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    host: Host,
    /// The name by which the supervisor knows it.
    pub label: String,
    /// The file that stays, and by which it is told whose the service is.
    pub file: PathBuf,
    /// What is in it.
    pub text: String,
    /// What stands there.
    pub standing: Standing,
    /// A file that is needed for the installation alone.
    pub beside: Option<(PathBuf, Vec<u8>)>,
}

impl Host {
    /// That of this machine; none where systemd is asked.
    pub const HERE: Option<Self> = if cfg!(target_os = "macos") {
        Some(Self::Launchd)
    } else if cfg!(windows) {
        Some(Self::Scheduler)
    } else {
        None
    };

    /// As the original calls it in what it prints: the service's kind, when it is known, when it is not.
    pub fn words(self) -> [&'static str; 3] {
        match self {
            Host::Launchd => ["LaunchAgent", "loaded", "not loaded"],
            Host::Scheduler => ["Scheduled Task", "registered", "missing"],
        }
    }

    /// What an instance's service should be.
    ///
    /// # Errors
    /// When this program's file is not known, or a path cannot stand in the file.
    pub fn draft(self, instance: &Instance, ambient: &Ambient) -> Result<Draft, Trouble> {
        let wanted = wanted(instance, ambient)?;
        let profile = instance.profile.as_ref().map(ToString::to_string);
        let home = ambient.var("HOME").map_or_else(|| instance.state_dir.clone(), PathBuf::from);
        let (label, file, text, beside) = match self {
            Host::Launchd => {
                let label = launchd::label(profile.as_deref());
                let text = launchd::plist(&label, &wanted, &instance.state_dir);
                (label.clone(), launchd::file(&home, &label), text, None)
            }
            Host::Scheduler => {
                let label = schtasks::name(profile.as_deref());
                let file = schtasks::script_file(&instance.state_dir);
                let user =
                    ["USERDOMAIN", "USERNAME"].map(|it| ambient.var(it).unwrap_or_default()).join("\\");
                let task = schtasks::task(&label, &user, &file);
                let beside = (file.with_extension("task.xml"), schtasks::bytes(&task));
                (label, file, schtasks::script(&wanted), Some(beside))
            }
        };
        let there = fs::read_to_string(&file).ok();
        let standing = match self {
            Host::Launchd => launchd::compare(&text, there.as_deref()),
            Host::Scheduler => schtasks::compare(&text, there.as_deref()),
        };
        Ok(Draft { host: self, label, file, text, standing, beside })
    }
}

impl Draft {
    /// What the supervisor is told, in order.
    pub fn steps(&self, verb: Verb) -> Vec<Step> {
        match self.host {
            Host::Launchd => launchd::steps(verb, geteuid().as_raw(), &self.label, &self.file),
            Host::Scheduler => {
                let file = self.beside.as_ref().map_or(&self.file, |it| &it.0);
                schtasks::steps(verb, &self.label, file)
            }
        }
    }
}

fn wanted(instance: &Instance, ambient: &Ambient) -> Result<Wanted, Trouble> {
    let program = systemd::program(ambient).ok_or(Trouble::NoProgram)?;
    let address = instance.address(ambient);
    let mut environment = address.environment;
    environment.retain(|(name, _)| name.starts_with("OPENCLAW_"));
    let all =
        environment.iter().map(|it| it.1.as_str()).chain(program.to_str()).chain([instance.name.as_str()]);
    if all.into_iter().any(|it| it.contains(['\n', '\r', '"'])) {
        return Err(Trouble::LineBreak);
    }
    Ok(Wanted {
        name: instance.name.clone(),
        program,
        arguments: address.arguments,
        environment,
        user: None,
        steps: false,
        watchdog: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_names_the_instance_and_nothing_else_of_the_environment() {
        let home = tempfile::tempdir().expect("a folder");
        let text = home.path().display().to_string();
        let variables = [("HOME", text.as_str()), ("OPENAI_API_KEY", "sk-poison"), ("USERNAME", "ada")];
        let ambient = Ambient::of(&variables, home.path());
        let profile = profile::ProfileName::parse("rescue").expect("a name");
        let instance = Instance::of_profile(&ambient, profile).expect("resolves");
        for (host, label) in
            [(Host::Launchd, "ai.openclaw.rescue"), (Host::Scheduler, "OpenClaw Gateway (rescue)")]
        {
            let draft = host.draft(&instance, &ambient).expect("a draft");
            assert_eq!((draft.label.as_str(), draft.standing), (label, Standing::Missing));
            assert!(draft.text.contains("--profile") && !draft.text.contains("poison"), "{}", draft.text);
            base::file::private_folder(draft.file.parent().expect("a folder")).expect("made");
            base::file::replace(&draft.file, draft.text.as_bytes()).expect("written");
            assert_eq!(host.draft(&instance, &ambient).expect("a draft").standing, Standing::Same);
            assert!(draft.steps(Verb::Restart).iter().any(|it| it.words.join(" ").contains(label)));
        }
    }
}
