//! What surrounds the process: its environment, home and working directory, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::Secret;

/// The variables that a child (a tool, a browser) may have from us. Everything else stays here: our own
/// environment holds keys, and selects an instance.
const CHILD_VARIABLES: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "TMPDIR"];

/// How a user's supervisor is reached.
const BUS_VARIABLES: [&str; 2] = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];

/// What a supervisor says to the one process that it started, and to none that this one starts.
const SUPERVISED_VARIABLES: [&str; 9] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
];

/// The environment as a value. Tests make their own.
#[derive(Clone)]
pub struct Ambient {
    variables: BTreeMap<String, String>,
    folder: PathBuf,
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values hold keys.
        f.debug_struct("Ambient").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Ambient {
    /// Reads the process's surroundings. Variables that are no Unicode are left out.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self {
            variables: variables.collect(),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }

    /// Surroundings made up by a test.
    pub fn of(variables: &[(&str, &str)], folder: &Path) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { variables: variables.collect(), folder: folder.to_path_buf() }
    }

    /// A variable that is set and not blank.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|it| !it.trim().is_empty())
    }

    /// A variable that holds a secret.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.var(name).and_then(Secret::new)
    }

    /// Whether a switch is on: `1`, `true`, `yes`, `on` in any case.
    pub fn switch(&self, name: &str) -> bool {
        self.var(name)
            .is_some_and(|it| ["1", "true", "yes", "on"].iter().any(|on| it.trim().eq_ignore_ascii_case(on)))
    }

    /// The person's home: `OPENCLAW_HOME`, else `HOME`.
    pub fn home(&self) -> Option<PathBuf> {
        let named = |name| self.var(name).filter(|it| !matches!(*it, "undefined" | "null"));
        let system = named("HOME").map(PathBuf::from);
        match named(HOME_VARIABLE) {
            Some(ours) => Some(absolute(ours, system.as_deref(), &self.folder)),
            None => system,
        }
    }

    /// A path as a person writes it: `~` is the home, and a relative one starts at the working directory.
    pub fn path(&self, text: &str) -> PathBuf {
        absolute(text, self.home().as_deref(), &self.folder)
    }

    /// A path as a person reads it: below the home it begins with `~`.
    pub fn short(&self, path: &Path) -> String {
        let below = self.home().and_then(|home| Some(path.strip_prefix(home).ok()?.to_path_buf()));
        below.map_or_else(|| path.display().to_string(), |it| format!("~/{}", it.display()))
    }

    /// The file of this program, to start another of its kind. Where it was replaced since, it is what stands in its
    /// place.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn program() -> std::io::Result<PathBuf> {
        std::env::current_exe().map(|it| in_its_place(&it).unwrap_or(it))
    }

    /// The service unit of ours that this process runs in, by the kernel's word: variables are inherited by anybody.
    pub fn unit() -> Option<String> {
        unit_in(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    /// Whether this process was started by a tool of a gateway.
    pub fn is_tool(&self) -> bool {
        self.var(TOOL_VARIABLE).is_some()
    }

    /// The conversation in which a tool of the instance with this name has started this process, where one has.
    pub fn tool_session(&self, instance: &str) -> Option<&str> {
        self.var(TOOL_VARIABLE).filter(|it| *it == instance)?;
        self.var(TOOL_SESSION_VARIABLE)
    }

    /// The environment of a child of the instance with this name. It holds nothing that leads to any instance, and a
    /// mark that keeps a command of ours, started by the child, from taking the home's own instance for granted.
    pub fn child(&self, instance: &str) -> Vec<(String, String)> {
        self.variables
            .iter()
            .filter(|(name, _)| CHILD_VARIABLES.contains(&name.as_str()) || name.starts_with("LC_"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .chain(self.host_wide())
            .chain([(TOOL_VARIABLE.to_owned(), instance.to_owned())])
            .collect()
    }

    /// The environment of a supervisor's own command: as a child's, with the way to its bus.
    pub fn supervisor(&self) -> Vec<(String, String)> {
        let named = |it: &str| CHILD_VARIABLES.contains(&it) || BUS_VARIABLES.contains(&it);
        self.variables
            .iter()
            .filter(|(name, _)| named(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The whole environment, for a process of ours that is given this one.
    pub fn everything(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The environment of another gateway or command of ours, which must resolve its instance by itself: all of it,
    /// less what selects an instance or authenticates to one. The home and the host folder are the same for it,
    /// whatever folder it is started in.
    pub fn without_instance(&self) -> Vec<(String, String)> {
        let is_own = |it: &str| !it.starts_with("OPENCLAW_") && !SUPERVISED_VARIABLES.contains(&it);
        let own = self.variables.iter().filter(|(name, _)| is_own(name));
        let own = own.map(|(name, value)| (name.clone(), value.clone()));
        own.chain(self.host_wide()).collect()
    }

    /// The home of all instances and the host folder, where they are not where everybody expects them: whoever is
    /// started by us must meet the same claims.
    fn host_wide(&self) -> impl Iterator<Item = (String, String)> {
        let home = self.var(HOME_VARIABLE).and_then(|_| Some((HOME_VARIABLE, self.home()?)));
        let host = self.var(HOST_VARIABLE).map(|it| self.path(it));
        let state_home = || self.var("XDG_STATE_HOME").map(|it| self.path(it).join("openclaw"));
        let host = host.or_else(state_home).map(|it| (HOST_VARIABLE, it));
        home.into_iter().chain(host).map(|(name, path)| (name.to_owned(), path.display().to_string()))
    }

    /// Adds the keys of a `.env` file in the state folder; what is set already stays. A line that would select
    /// an instance or its secrets (`OPENCLAW_*`) is ignored: a file must not move the gateway it belongs to.
    #[must_use]
    pub fn with_env_file(self, file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        self.with_variables(text.lines().filter_map(assignment))
    }

    /// Adds variables; what is set already stays, and so does what selects an instance (`OPENCLAW_*`).
    #[must_use]
    pub fn with_variables<'a>(mut self, variables: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        for (name, value) in variables {
            if !name.starts_with("OPENCLAW_") && self.var(name).is_none() {
                self.variables.insert(name.to_owned(), value.to_owned());
            }
        }
        self
    }
}

/// The conversation in which a tool was used, for commands of ours that it runs.
pub const TOOL_SESSION_VARIABLE: &str = "OPENCLAW_TOOL_SESSION";
/// Says that a process was started by a tool, and of which instance.
pub(crate) const TOOL_VARIABLE: &str = "OPENCLAW_TOOL_OF";
/// Names another home than the user's own.
const HOME_VARIABLE: &str = "OPENCLAW_HOME";
/// Names the folder of host-wide records; see [`crate::registry::Host`].
pub(crate) const HOST_VARIABLE: &str = "OPENCLAW_HOST_DIR";

/// `0::/user.slice/…/app.slice/openclaw-gateway-main.service`.
fn unit_in(cgroups: &str) -> Option<String> {
    let mut names = cgroups.lines().filter_map(|it| it.rsplit('/').next());
    names.find(|it| it.starts_with("openclaw-gateway") && it.ends_with(".service")).map(str::to_owned)
}

fn absolute(text: &str, home: Option<&Path>, folder: &Path) -> PathBuf {
    let text = text.trim();
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_path_buf(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => folder.join(text),
    }
}

/// `NAME=value` of a `.env` line, quotes taken off; `None` for comments and anything else.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim();
    let sound = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    let value = value.trim();
    let bare = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value);
    sound.then_some((name, bare))
}

/// What stands where a program's file was before it was replaced. The kernel marks the name of a file that is gone.
fn in_its_place(program: &Path) -> Option<PathBuf> {
    let bare = PathBuf::from(program.to_str()?.strip_suffix(" (deleted)")?);
    (!program.exists() && bare.is_file()).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_what_stands_in_its_place() {
        let home = tempfile::tempdir().expect("a folder");
        let [own, gone] = ["openclaw", "openclaw (deleted)"].map(|it| home.path().join(it));
        assert_eq!(in_its_place(&gone), None, "nothing is there");
        base::file::replace(&own, b"x").expect("written");
        assert_eq!((in_its_place(&gone), in_its_place(&own)), (Some(own.clone()), None));
        base::file::replace(&gone, b"x").expect("written");
        assert_eq!(in_its_place(&gone), None, "a file of that very name");
    }

    #[test]
    fn paths_are_read_as_people_write_them() {
        let it = Ambient::of(&[("HOME", "/home/ada")], Path::new("/srv"));
        for (text, expected) in
            [("~", "/home/ada"), ("~/x", "/home/ada/x"), ("/a", "/a"), ("b", "/srv/b"), ("~x", "/srv/~x")]
        {
            assert_eq!(it.path(text), Path::new(expected), "{text}");
        }
        assert_eq!(it.short(Path::new("/home/ada/x")), "~/x");
        assert_eq!(it.short(Path::new("/home/adam")), "/home/adam");
        let moved = Ambient::of(&[("HOME", "/home/ada"), ("OPENCLAW_HOME", "~/other")], Path::new("/"));
        assert_eq!(moved.home().as_deref(), Some(Path::new("/home/ada/other")));
    }

    #[test]
    fn a_child_gets_the_allowed_and_no_key() {
        let it = Ambient::of(
            &[
                ("PATH", "/bin"),
                ("LC_ALL", "C"),
                ("OPENAI_API_KEY", "k"),
                ("LISTEN_FDS", "1"),
                ("OPENCLAW_STATE_DIR", "/x"),
            ],
            Path::new("/"),
        );
        let moved = Ambient::of(&[("XDG_STATE_HOME", "/state")], Path::new("/")).child("main");
        assert!(moved.contains(&("OPENCLAW_HOST_DIR".to_owned(), "/state/openclaw".to_owned())), "{moved:?}");
        let names: Vec<_> = it.child("main").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["LC_ALL", "PATH", "OPENCLAW_TOOL_OF"]);
        let names: Vec<_> = it.without_instance().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["LC_ALL", "OPENAI_API_KEY", "PATH"]);
    }

    #[test]
    fn a_unit_is_known_by_the_group_that_the_process_runs_in() {
        let user =
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/openclaw-gateway-main.service\n";
        assert_eq!(unit_in(user).as_deref(), Some("openclaw-gateway-main.service"));
        let shell = "0::/user.slice/user-1000.slice/session-2.scope\n";
        assert_eq!((unit_in(shell), unit_in("")), (None, None));
    }

    #[test]
    fn another_process_of_ours_has_the_same_home_and_host() {
        let it = Ambient::of(
            &[("HOME", "/home/ada"), ("OPENCLAW_HOME", "../x"), ("OPENCLAW_HOST_DIR", "~/host")],
            Path::new("/srv"),
        );
        let theirs = it.without_instance();
        let theirs: Vec<_> = theirs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let theirs = Ambient::of(&theirs, Path::new("/"));
        assert_eq!(theirs.home(), it.home());
        assert_eq!(theirs.var(HOST_VARIABLE), Some("/srv/../x/host"));
    }

    #[test]
    fn an_env_file_adds_keys_and_moves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(".env");
        let text = "# keys\nexport A_KEY=\"one\"\nB_KEY=two\nOPENCLAW_STATE_DIR=/evil\nbad line\n";
        base::file::replace(&file, text.as_bytes()).expect("writes");
        let it = Ambient::of(&[("B_KEY", "mine")], Path::new("/")).with_env_file(&file);
        assert_eq!((it.var("A_KEY"), it.var("B_KEY")), (Some("one"), Some("mine")));
        assert_eq!(it.var("OPENCLAW_STATE_DIR"), None);
    }
}
