//! The values that options and arguments may have on this host: instances, and what the selected one knows.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use fleet::look::{self, Known};
use profile::{Ambient, Document, Instance};
use protocol::{models, sessions};
use serde_json::Value;

use crate::client::{Client, NoAnswer};
use crate::complete::line::Chosen;

/// The longest that a person waits for what a gateway knows.
const PATIENCE: Duration = Duration::from_millis(150);
/// The most conversations that are offered.
const MOST_SESSIONS: usize = 100;
/// Where an instance has its conversations. A gateway opens it when it is first asked for one.
const DATABASE: &str = "gateway.sqlite";
/// How much a gateway may log.
const LEVELS: [&str; 7] = ["silent", "fatal", "error", "warn", "info", "debug", "trace"];

/// What the values are taken from.
pub(super) struct World {
    ambient: Ambient,
    chosen: Chosen,
}

/// What a value names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Profile,
    Instance,
    Session,
    Agent,
    Model,
    Method,
    ConfigKey,
    Level,
    File,
    Folder,
}

/// A value, and what it is about.
type Found = (String, String);

impl World {
    /// For the instance that a line selects.
    pub(super) fn new(ambient: Ambient, chosen: Chosen) -> Self {
        Self { ambient, chosen }
    }
}

/// Gives each option and argument of a command, and of those below it, the values that it may have. `path` is how the
/// command is called.
pub(super) fn attach(command: Command, path: &[&str], world: &Arc<World>) -> Command {
    let command = command.mut_args(|arg| {
        let Some(kind) = kind(path, &arg) else { return arg };
        let world = Arc::clone(world);
        arg.add(ArgValueCompleter::new(move |begun: &OsStr| world.candidates(kind, begun)))
    });
    command.mut_subcommands(|it| {
        let name = it.get_name().to_owned();
        attach(it, &[path, &[name.as_str()]].concat(), world)
    })
}

/// By how a value is called in the help, so that a command that is added is completed without a word here.
fn kind(path: &[&str], arg: &Arg) -> Option<Kind> {
    let name = arg.get_value_names()?.first()?.as_str();
    match (path, name, arg.get_id().as_str()) {
        (_, _, "profile") => Some(Kind::Profile),
        // A name that is yet to be given.
        (["fleet", "create" | "clone"], "NAME", "name") | (["fleet", ..], _, "into") => None,
        (["fleet", ..], "NAME", _) | (["fleet", "clone"], "FROM", _) => Some(Kind::Instance),
        (_, _, "session_id" | "session_key" | "session") => Some(Kind::Session),
        (_, _, "agent" | "agent_id") => Some(Kind::Agent),
        (_, "MODEL", _) => Some(Kind::Model),
        (_, "METHOD", _) => Some(Kind::Method),
        (["config", ..], "KEY" | "PATH", _) => Some(Kind::ConfigKey),
        (_, "LEVEL", _) => Some(Kind::Level),
        (_, "FILE", _) => Some(Kind::File),
        (_, "DIR", _) => Some(Kind::Folder),
        _ => None,
    }
}

impl World {
    fn candidates(&self, kind: Kind, begun: &OsStr) -> Vec<CompletionCandidate> {
        let path = |mark: &str| vec![CompletionCandidate::new("").help(Some(mark.to_owned().into()))];
        let found = match kind {
            Kind::File => return path(":files"),
            Kind::Folder => return path(":folders"),
            Kind::Profile => self.profiles(),
            Kind::Instance => self.instances(),
            Kind::Level => LEVELS.map(|it| (it.to_owned(), String::new())).into(),
            Kind::ConfigKey => self.instance().map(|it| config_keys(&it)).unwrap_or_default(),
            Kind::Session => self.remembered(sessions_of),
            Kind::Agent => self.remembered(agents_of),
            Kind::Model => self.asked(models_of),
            Kind::Method => self.asked(|client| Ok(methods_of(client))),
        };
        let Some(begun) = begun.to_str() else { return Vec::new() };
        let found = found.into_iter().filter(|(value, _)| value.starts_with(begun));
        let candidate = |(value, about): Found| {
            let about = Some(about).filter(|it| !it.is_empty());
            CompletionCandidate::new(value).help(about.map(Into::into))
        };
        // A line is a candidate: what would break it cannot be one.
        found.filter(|(value, _)| !value.contains(char::is_control)).map(candidate).collect()
    }

    /// The instance that the line and the surroundings select.
    fn instance(&self) -> Option<Instance> {
        Instance::resolve(&self.ambient, &(&self.chosen).into()).ok()
    }

    fn known(&self) -> Vec<Known> {
        let host = Instance::of_profile(&self.ambient, None).map(|it| it.host);
        host.map(|it| look::known(&it, &self.ambient)).unwrap_or_default()
    }

    /// What `--profile` may be: an instance that its paths alone lead to has none.
    fn profiles(&self) -> Vec<Found> {
        let leads_there = |it: &Known| {
            let canonical = Instance::of_profile(&self.ambient, it.instance.profile.clone());
            canonical.is_ok_and(|canonical| canonical.state_dir == it.instance.state_dir)
        };
        let known = self.known();
        known.iter().filter(|it| leads_there(it)).map(|it| self.named(it, &it.instance.name)).collect()
    }

    /// What a verb of `fleet` takes: where two have one name, their folders.
    fn instances(&self) -> Vec<Found> {
        let known = self.known();
        let is_alone = |name: &str| known.iter().filter(|it| it.instance.name == name).count() == 1;
        let name = |it: &Known| match is_alone(&it.instance.name) {
            true => it.instance.name.clone(),
            false => it.instance.state_dir.display().to_string(),
        };
        known.iter().map(|it| self.named(it, &name(it))).collect()
    }

    fn named(&self, known: &Known, name: &str) -> Found {
        (name.to_owned(), self.ambient.short(&known.instance.state_dir))
    }

    /// As [`World::asked`], where there is a conversation at all: an instance gets no database from being asked.
    fn remembered(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<Vec<Found>, NoAnswer> + Send + 'static,
    ) -> Vec<Found> {
        let has_one = self.instance().is_some_and(|it| it.state_dir.join(DATABASE).exists());
        if has_one { self.asked(ask) } else { Vec::new() }
    }

    /// What the selected instance's gateway says; nothing where it does not run, or does not answer at once.
    fn asked(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<Vec<Found>, NoAnswer> + Send + 'static,
    ) -> Vec<Found> {
        let Some(instance) = self.instance() else { return Vec::new() };
        let (tell, told) = mpsc::channel();
        // To connect may take as long as a gateway is deaf. This process ends without waiting for the thread.
        thread::spawn(move || {
            let found = Client::connect(&instance.state_dir, PATIENCE).and_then(|mut it| ask(&mut it));
            // Nobody may be waiting any more.
            let _ = tell.send(found.unwrap_or_default());
        });
        told.recv_timeout(PATIENCE).unwrap_or_default()
    }
}

fn sessions_of(client: &mut Client) -> Result<Vec<Found>, NoAnswer> {
    let params = sessions::ListParams { limit: Some(MOST_SESSIONS), ..sessions::ListParams::default() };
    let rows = client.call::<sessions::List>(&params)?.sessions;
    Ok(rows.into_iter().map(|it| (it.session_id, it.label.unwrap_or(it.key))).collect())
}

/// The agents that have answered so far.
fn agents_of(client: &mut Client) -> Result<Vec<Found>, NoAnswer> {
    let rows = client.call::<sessions::List>(&sessions::ListParams::default())?.sessions;
    let ids: BTreeSet<String> = rows.into_iter().map(|it| it.agent_id).collect();
    Ok(ids.into_iter().map(|it| (it, String::new())).collect())
}

fn models_of(client: &mut Client) -> Result<Vec<Found>, NoAnswer> {
    let models = client.call::<models::List>(&models::ListParams::default())?.models;
    Ok(models.into_iter().map(|it| (format!("{}/{}", it.provider, it.id), it.name)).collect())
}

fn methods_of(client: &Client) -> Vec<Found> {
    client.hello().features.methods.iter().map(|it| (it.clone(), String::new())).collect()
}

/// The keys that a command about the config may be given: those that are obeyed, with what they are for, and whatever
/// else the instance's own file has. Values are never told.
fn config_keys(instance: &Instance) -> Vec<Found> {
    let mut keys = BTreeSet::new();
    if let Ok(document) = Document::load(&instance.config_path) {
        add_keys(document.value(), "", &mut keys);
    }
    let ours = gateway::config::keys().into_iter().filter(|it| !it.path.contains(['*', '[']));
    let mut found: Vec<Found> = ours.map(|it| (it.path, it.about)).collect();
    found.extend(keys.into_iter().map(|it| (it, String::new())));
    found.sort();
    // The one with a description stays.
    found.dedup_by(|later, first| {
        later.0 == first.0 && {
            first.1 = std::mem::take(&mut later.1);
            true
        }
    });
    found
}

/// Adds the path of each key of an object, and of those below it.
fn add_keys(value: &Value, path: &str, keys: &mut BTreeSet<String>) {
    for (key, below) in value.as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        add_keys(below, &path, keys);
        keys.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;
    use serde_json::json;

    #[track_caller]
    fn check(path: &[&str], id: &str, expected: Option<Kind>) {
        let mut root = Cli::command();
        root.build();
        let command = path.iter().fold(&root, |it, name| it.find_subcommand(name).expect("a command"));
        let arg = command.get_arguments().find(|it| it.get_id() == id).expect("an argument");
        assert_eq!(kind(path, arg), expected, "{path:?} {id}");
    }

    #[test]
    fn a_value_is_known_by_how_it_is_called() {
        check(&["status"], "profile", Some(Kind::Profile));
        check(&["fleet", "why"], "name", Some(Kind::Instance));
        check(&["fleet", "logs"], "names", Some(Kind::Instance));
        check(&["fleet", "exec"], "only", Some(Kind::Instance));
        check(&["fleet", "rm"], "confirm", Some(Kind::Instance));
        check(&["fleet", "create"], "from", Some(Kind::Instance));
        check(&["fleet", "create"], "name", None);
        check(&["fleet", "clone"], "from", Some(Kind::Instance));
        check(&["fleet", "clone"], "name", None);
        check(&["fleet", "rename"], "name", Some(Kind::Instance));
        check(&["fleet", "rename"], "new", None);
        check(&["fleet", "import"], "from", None);
        check(&["fleet", "import"], "into", None);
        check(&["fleet", "snapshot"], "output", Some(Kind::File));
        check(&["agent"], "session_id", Some(Kind::Session));
        check(&["agent"], "agent", Some(Kind::Agent));
        check(&["agent"], "message", None);
        check(&["gateway", "call"], "method", Some(Kind::Method));
        check(&["setup"], "workspace", Some(Kind::Folder));
    }

    #[test]
    fn a_key_of_the_config_is_known_where_a_command_is_about_the_config() {
        let arg = || Arg::new("it").value_name("PATH");
        assert_eq!(kind(&["config", "get"], &arg()), Some(Kind::ConfigKey));
        assert_eq!(kind(&["elsewhere"], &arg()), None);
        assert_eq!(kind(&["config", "apply"], &Arg::new("it").value_name("FILE")), Some(Kind::File));
    }

    #[test]
    fn the_keys_are_those_that_are_obeyed_and_those_of_the_file_and_no_values() {
        let home = tempfile::tempdir().expect("a folder");
        let home_text = home.path().to_str().expect("Unicode");
        let ambient = Ambient::of(&[("HOME", home_text)], std::path::Path::new("/"));
        let instance = Instance::of_profile(&ambient, None).expect("a home");
        base::file::private_folder(&instance.state_dir).expect("made");
        let text = b"{ gateway: { auth: { token: 'hush', }, own: 1, }, }";
        base::file::replace(&instance.config_path, text).expect("written");
        let world = World::new(ambient, Chosen::default());
        let found = |begun: &str| {
            let found = world.candidates(Kind::ConfigKey, OsStr::new(begun));
            found.iter().map(|it| it.get_value().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let obeyed = ["gateway.auth", "gateway.auth.mode", "gateway.auth.password", "gateway.auth.token"];
        assert_eq!(found("gateway.au"), obeyed);
        assert_eq!(found("gateway.o"), ["gateway.own"]);
        assert!(found("hush").is_empty());
    }

    #[test]
    fn keys_are_paths() {
        let mut keys = BTreeSet::new();
        add_keys(&json!({"a": {"b": {"c": 1}, "d": []}, "e": "x"}), "", &mut keys);
        assert_eq!(Vec::from_iter(keys), ["a", "a.b", "a.b.c", "a.d", "e"]);
    }
}
