//! `setup`: what a new instance needs to be startable as it is, asked of nobody.

use std::path::{Path, PathBuf};

use base::file::FileError;
use base::random;
use profile::document::Unreadable;
use profile::folder::{self, BadFolder};
use profile::ports::{self, DEFAULT_BASE};
use profile::registry::Record;
use profile::writing::{self, Author};
use profile::{Ambient, Document, Finding, Instance, listener};
use serde_json::{Value, json};

use crate::VERSION;

/// What the person says about the new instance; the rest is proposed.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The base port.
    pub port: Option<u16>,
    /// The default agent's folder.
    pub workspace: Option<PathBuf>,
}

/// What was found and what was made.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whether the config file is new.
    pub is_new: bool,
    /// Keys that were added to a config that was there.
    pub added: Vec<&'static str>,
    /// The base port.
    pub port: u16,
    /// The default agent's folder.
    pub workspace: PathBuf,
    /// Files that were made in it.
    pub files: Vec<&'static str>,
    /// That another instance's base stands close, where it has not been said yet.
    pub close: Option<String>,
}

/// Why an instance could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] BadFolder),
    /// The config that is there cannot be read.
    #[error(transparent)]
    Config(#[from] Unreadable),
    /// The config that is there cannot take what is missing.
    #[error("the config file {} cannot be completed: {finding}", path.display())]
    Finding {
        /// The file.
        path: PathBuf,
        /// What and where.
        finding: Box<Finding>,
    },
    /// Something could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The config could not be written.
    #[error(transparent)]
    Written(#[from] writing::NotWritten),
    /// Every base from the default on is taken.
    #[error("no base port is free between {DEFAULT_BASE} and the ports that the system hands out")]
    NoPort,
    /// The port that was asked for leaves no room.
    #[error(transparent)]
    Port(#[from] ports::BadBase),
    /// Another instance needs a port of the plan.
    #[error(transparent)]
    Overlap(#[from] Box<ports::Overlap>),
}

/// Makes the state folder, the config and the workspace where they are missing. What is there stays as it is.
///
/// # Errors
/// Says what is in the way; a config is written whole or not at all.
pub fn setup(instance: &Instance, ambient: &Ambient, wishes: &Wishes) -> Result<Report, SetupError> {
    folder::look(&instance.state_dir)?;
    let found = match Document::load(&instance.config_path) {
        Ok(it) => Some(it),
        Err(Unreadable::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    // Until the record below is written: two that are made at the same moment must not be given the same ports.
    let _choosing = instance.host.choosing()?;
    let port = port(instance, wishes, found.as_ref())?;
    let plan = ports::Plan::of(port)?;
    let pinned = found.as_ref().map(Document::pinned_ports).unwrap_or_default();
    instance.host.check_ports(&instance.state_dir, &plan, &pinned)?;
    let close = warning(instance, &plan);
    // Nothing was made until here: a set-up that is refused leaves nothing behind.
    folder::prepare(&instance.state_dir)?;
    let default = || wishes.workspace.clone().unwrap_or_else(|| instance.workspace.clone());
    let named = found
        .as_ref()
        .and_then(|it| it.get("agents.defaults.workspace")?.as_str().map(|it| ambient.path(it)));
    let workspace = named.unwrap_or_else(default);
    let (is_new, added) = match found {
        None => {
            write_new(instance, port, &workspace)?;
            (true, Vec::new())
        }
        Some(document) => (false, complete(instance, document, port, &workspace)?),
    };
    let skip = skips_bootstrap(&instance.config_path);
    let files = agent::workspace::seed(&workspace, skip)?;
    instance.host.write(&Record::of(instance, port, pinned, VERSION))?;
    Ok(Report { is_new, added, port, workspace, files, close })
}

/// What to say where another base stands closer than people count on; `None` once it was said, which is when this
/// instance has been recorded with its port.
pub(crate) fn warning(instance: &Instance, plan: &ports::Plan) -> Option<String> {
    if instance.host.read(&instance.state_dir).is_some_and(|it| it.port == plan.base) {
        return None;
    }
    let others = instance.host.neighbours(&instance.state_dir);
    let near: Vec<String> = ports::near(plan, &others)
        .iter()
        .map(|it| format!("{} (base port {})", it.name, it.plan.base))
        .collect();
    (!near.is_empty()).then(|| {
        format!(
            "base port {} stands closer than {} to instance {}; this is safe, as browser ports are allocated around \
             it, and leaves less room",
            plan.base,
            ports::SPACING,
            near.join(" and ")
        )
    })
}

/// The port that was asked for, else the config's, else the lowest that nobody needs or holds.
fn port(instance: &Instance, wishes: &Wishes, found: Option<&Document>) -> Result<u16, SetupError> {
    if let Some(port) = wishes.port.or(instance.env_port).or_else(|| found.and_then(Document::port)) {
        return Ok(port);
    }
    proposed(instance).ok_or(SetupError::NoPort)
}

/// The lowest base from the instance's default on that nobody needs or holds, at a safe distance from all others.
pub(crate) fn proposed(instance: &Instance) -> Option<u16> {
    let others = instance.host.confirmed_neighbours(&instance.state_dir);
    let first = instance.default_port.unwrap_or(DEFAULT_BASE);
    ports::free_bases(first, &others, listener::is_bound).next()
}

/// Whether the config wants an empty workspace.
fn skips_bootstrap(config: &Path) -> bool {
    let document = Document::load(config).ok();
    document.is_some_and(|it| it.get("agents.defaults.skipBootstrap") == Some(&Value::Bool(true)))
}

fn write_new(instance: &Instance, port: u16, workspace: &Path) -> Result<(), SetupError> {
    let document = fresh(instance, port, workspace, None).map_err(|it| unfit(instance, it))?;
    write(instance, None, &document, "a new instance")
}

/// Writes the config, unless somebody else did meanwhile.
fn write(
    instance: &Instance,
    before: Option<&str>,
    document: &Document,
    why: &str,
) -> Result<(), SetupError> {
    let author = Author { by: "setup".to_owned(), why: why.to_owned() };
    let base = before.map(writing::sum);
    writing::write(instance, base.as_deref(), document.text(), &author)?;
    Ok(())
}

fn unfit(instance: &Instance, finding: Finding) -> SetupError {
    SetupError::Finding { path: instance.config_path.clone(), finding: Box::new(finding) }
}

/// The config of a new instance, with a random token; it is not written.
pub(crate) fn fresh(
    instance: &Instance,
    port: u16,
    workspace: &Path,
    model: Option<&Value>,
) -> Result<Document, Finding> {
    let model = match model {
        Some(it) => format!("model: {it},"),
        None => {
            "// model: \"provider/model\", as in \"openai/gpt-5.1\"; found by itself where it is not named"
                .to_owned()
        }
    };
    let text = format!(
        "{{\n  \
           // OpenClaw gateway, instance {}. This is JSON5: comments and trailing commas are welcome.\n  \
           gateway: {{\n    \
             mode: \"local\",\n    \
             port: {port},\n    \
             auth: {{ mode: \"token\", token: \"{}\" }},\n  \
           }},\n  \
           agents: {{\n    \
             defaults: {{\n      \
               workspace: {},\n      \
               {model}\n    \
             }},\n  \
           }},\n\
         }}\n",
        instance.name,
        token(),
        json!(workspace),
    );
    Document::parse(&instance.config_path, text).map_err(|error| Finding::whole(error.to_string()))
}

/// Adds what keeps a config from being startable, and nothing else.
fn complete(
    instance: &Instance,
    mut document: Document,
    port: u16,
    workspace: &Path,
) -> Result<Vec<&'static str>, SetupError> {
    let secret = ["gateway.auth.token", "gateway.auth.password"];
    let has_secret = secret.iter().any(|it| document.get(it).is_some());
    let wanted: [(&'static str, Value, bool); 4] = [
        ("gateway.mode", json!("local"), document.get("gateway.mode").is_some()),
        ("gateway.port", json!(port), document.port() == Some(port)),
        ("gateway.auth.token", json!(token()), has_secret),
        ("agents.defaults.workspace", json!(workspace), document.get("agents.defaults.workspace").is_some()),
    ];
    let before = document.text().to_owned();
    let mut added = Vec::new();
    for (key, value, _) in wanted.into_iter().filter(|(_, _, is_there)| !is_there) {
        document.set(key, &value).map_err(|it| unfit(instance, it))?;
        added.push(key);
    }
    if !added.is_empty() {
        write(instance, Some(&before), &document, "what was missing")?;
    }
    Ok(added)
}

/// 24 random bytes, as the original's tokens are.
fn token() -> String {
    random::hex::<24>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::Selection;

    fn instance(home: &Path, profile: &str) -> (Instance, Ambient) {
        let text = home.display().to_string();
        let ambient = Ambient::of(&[("HOME", &text)], home);
        let selection = Selection { profile: Some(profile.to_owned()), dev: false };
        (Instance::resolve(&ambient, &selection).expect("resolves"), ambient)
    }

    #[test]
    fn a_new_instance_is_startable_and_a_second_run_changes_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let (main, ambient) = instance(home.path(), "main");
        let report = setup(&main, &ambient, &Wishes::default()).expect("set up");
        assert!(report.is_new && report.port >= DEFAULT_BASE && report.files.contains(&"AGENTS.md"));
        let document = Document::load(&main.config_path).expect("reads");
        let read = crate::config::load(&main, &ambient).expect("parses");
        assert!(read.findings.is_empty(), "{:?}", read.findings);
        assert_eq!(read.config.gateway.port, Some(report.port));
        assert!(read.config.gateway.auth.token.is_some_and(|it| it.expose().len() == 48));

        let again = setup(&main, &ambient, &Wishes::default()).expect("again");
        assert!(!again.is_new && again.added.is_empty() && again.files.is_empty());
        assert_eq!(Document::load(&main.config_path).expect("reads").text(), document.text());
    }

    #[test]
    fn the_next_instance_is_given_ports_of_its_own() {
        let home = tempfile::tempdir().expect("a folder");
        let (main, ambient) = instance(home.path(), "main");
        let first = setup(&main, &ambient, &Wishes::default()).expect("set up").port;
        let (rescue, ambient) = instance(home.path(), "rescue");
        let second = setup(&rescue, &ambient, &Wishes::default()).expect("set up").port;
        assert!(second >= first + ports::SPACING && (second - DEFAULT_BASE).is_multiple_of(ports::SPACING));
        assert!(rescue.workspace.ends_with("workspace-rescue"));
    }

    #[test]
    fn a_config_that_is_there_gets_what_is_missing_and_keeps_the_rest() {
        let home = tempfile::tempdir().expect("a folder");
        let (main, ambient) = instance(home.path(), "main");
        folder::prepare(&main.state_dir).expect("made");
        let text = "{ // mine\n  gateway: { port: 21000 }, other: [1] }\n";
        base::file::replace(&main.config_path, text.as_bytes()).expect("written");
        let report = setup(&main, &ambient, &Wishes::default()).expect("set up");
        assert_eq!(report.added, ["gateway.mode", "gateway.auth.token", "agents.defaults.workspace"]);
        let text = Document::load(&main.config_path).expect("reads").text().to_owned();
        assert!(
            text.contains("// mine") && text.contains("other: [1]") && text.contains("port: 21000"),
            "{text}"
        );
    }

    #[test]
    fn a_config_that_does_not_parse_is_left_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let (main, ambient) = instance(home.path(), "main");
        folder::prepare(&main.state_dir).expect("made");
        base::file::replace(&main.config_path, b"{ gateway: ").expect("written");
        assert!(matches!(setup(&main, &ambient, &Wishes::default()), Err(SetupError::Config(_))));
        assert_eq!(std::fs::read(&main.config_path).expect("there"), b"{ gateway: ");
    }
}
