//! The tools of an agent. Each is a file and a line in [`ALL`].

pub(crate) mod beneath;
mod edit;
mod exec;
mod plan;
mod read;
mod settings;
mod write;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::future::BoxFuture;
use providers::ToolSpec;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use plan::Plan;
pub use settings::{Ask, Security, Settings};

/// Every tool there is.
pub const ALL: &[&dyn Tool] = &[&read::Read, &write::Write, &edit::Edit, &exec::Exec];

/// What a tool can do to the person's things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// It looks.
    Reads,
    /// It changes files of the workspace.
    Writes,
    /// It runs programs.
    Executes,
}

/// Something that a model may ask for.
pub trait Tool: Sync {
    /// Its name, and what the model is told of it.
    fn spec(&self) -> ToolSpec;
    /// What it can do to the person's things.
    fn risk(&self) -> Risk;
    /// Does it. Dropping the future stops it, and everything that it started.
    fn run<'a>(&'a self, arguments: Value, bench: &'a Workbench) -> BoxFuture<'a, Outcome>;
}

/// What a tool brought back.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// For the model.
    pub text: String,
    /// Whether it failed.
    pub is_error: bool,
    /// For programs.
    pub details: Value,
}

impl Outcome {
    /// It worked.
    pub fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: false, details: json!({}) }
    }

    /// It did not; the text says why and what to do.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: true, details: json!({}) }
    }
}

/// What the tools of one agent work with, and all that they are given.
#[derive(Debug)]
pub struct Workbench {
    /// The workspace; paths that lead out of it are refused.
    root: Dir,
    /// Its path, for programs.
    path: PathBuf,
    /// The environment of programs; nothing of the gateway's own.
    env: Vec<(String, String)>,
    /// What a program gets that names no time limit.
    time_limit: Duration,
}

impl Workbench {
    /// Opens the workspace.
    ///
    /// # Errors
    /// When the folder is missing or cannot be opened.
    pub fn open(path: &Path, env: Vec<(String, String)>, time_limit: Duration) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { root, path: path.to_path_buf(), env, time_limit })
    }

    /// A path as the model wrote it, relative to the workspace: it may also name the workspace itself in front.
    fn relative<'a>(&self, path: &'a str) -> &'a Path {
        let path = Path::new(path.trim());
        path.strip_prefix(&self.path).unwrap_or(path)
    }
}

/// The tools that an agent may use: all, or those that its config allows, less those that it denies.
pub fn allowed(allow: Option<&[String]>, deny: &[String]) -> Vec<&'static dyn Tool> {
    let named =
        |names: &[String], tool: &dyn Tool| names.iter().any(|it| *it == tool.spec().name || it == "*");
    let may = |tool: &&'static dyn Tool| allow.is_none_or(|it| named(it, *tool)) && !named(deny, *tool);
    ALL.iter().copied().filter(may).collect()
}

/// Reads the arguments of a call.
fn arguments<T: DeserializeOwned>(value: Value) -> Result<T, Outcome> {
    serde_json::from_value(value).map_err(|error| Outcome::failed(format!("bad arguments: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn bench(path: &Path) -> Workbench {
        let env = vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())];
        Workbench::open(path, env, Duration::from_secs(30)).expect("opens")
    }

    #[test]
    fn each_has_a_name_of_its_own_a_risk_and_an_object_of_parameters() {
        let mut names: Vec<_> = ALL.iter().map(|it| it.spec().name).collect();
        assert_eq!(names, ["read", "write", "edit", "exec"]);
        names.dedup();
        for tool in ALL {
            let spec = tool.spec();
            assert_eq!(spec.parameters["type"], "object", "{}", spec.name);
            assert!(spec.parameters["required"].is_array(), "{}", spec.name);
        }
        let risks: Vec<_> = ALL.iter().map(|it| it.risk()).collect();
        assert_eq!(risks, [Risk::Reads, Risk::Writes, Risk::Writes, Risk::Executes]);
    }

    #[test]
    fn the_config_decides_which_there_are() {
        let names = |allow: Option<&[&str]>, deny: &[&str]| {
            let own = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
            let allow = allow.map(own);
            let tools = allowed(allow.as_deref(), &own(deny));
            tools.iter().map(|it| it.spec().name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(None, &[]), "read write edit exec");
        assert_eq!(names(Some(&["read", "exec"]), &["exec"]), "read");
        assert_eq!(names(Some(&["*"]), &["*"]), "");
        assert_eq!(names(Some(&[]), &[]), "");
    }
}
