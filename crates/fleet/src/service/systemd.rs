//! The one file that steers systemd: which manager, whether it is there, and what it is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use profile::{Ambient, Instance};
use rustix::process::geteuid;

use super::text::Wanted;

/// Where it is said that systemd runs this machine.
const BOOTED: &str = "/run/systemd/system";
/// Where the users who may run services without a login are noted.
const LINGER: &str = "/var/lib/systemd/linger";
/// Seconds of silence after which a gateway is taken for hung.
const WATCHDOG: u32 = 30;

/// Whose systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The user's own.
    User,
    /// The machine's.
    System,
}

/// Why systemd does not do it.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Another init, or a container.
    #[error("systemd does not run this machine")]
    NoSystemd,
    /// No manager of this user.
    #[error("the service manager of user {0} cannot be reached")]
    NoManager(String),
    /// It would end with the last login.
    #[error("user {0} may not run services without a login: the gateway would stop at logout")]
    NoLinger(String),
    /// A unit of the machine is root's to write.
    #[error("a unit of the machine is written by root only")]
    NotRoot,
    /// The program's file is gone.
    #[error("the file of this program is not known, or was replaced")]
    NoProgram,
    /// An account that the machine does not list.
    #[error("this machine has no user {0}")]
    NoUser(String),
    /// Root looks at instances of its own.
    #[error("the instances seen here are not those of user {user}, whose home is {}", home.display())]
    OtherHome {
        /// Whose process it would become.
        user: String,
        /// Where that one's instances are.
        home: PathBuf,
    },
    /// A line of the unit cannot hold it.
    #[error("a path with a line break cannot stand in a unit")]
    LineBreak,
    /// It said no.
    #[error("systemctl {what}: {said}")]
    Refused {
        /// What it was asked for.
        what: String,
        /// What it said.
        said: String,
    },
}

impl Trouble {
    /// What to do about it, in the order of what is easiest.
    pub fn remedies(&self, instance: &Instance) -> Vec<String> {
        let command = instance.command();
        let system = format!(
            "or let the machine start it: sudo HOME=\"$HOME\" {command} gateway install --system --user USER"
        );
        match self {
            Trouble::NoSystemd => {
                vec![format!("let whatever starts programs here run: {command} gateway run")]
            }
            Trouble::NoManager(user) => vec![
                format!("log in as {user} itself, not by su, or run: sudo loginctl enable-linger {user}"),
                system,
            ],
            Trouble::NoLinger(user) => vec![
                format!("run: sudo loginctl enable-linger {user}"),
                format!("or let it end with the login: {command} gateway install --without-linger"),
                system,
            ],
            Trouble::NotRoot => vec![system],
            Trouble::NoProgram => vec!["start this command by its full path".to_owned()],
            Trouble::NoUser(_) => vec!["name another with --user".to_owned()],
            Trouble::OtherHome { user, home } => {
                vec![format!(
                    "run: sudo HOME={} {command} gateway install --system --user {user}",
                    home.display()
                )]
            }
            Trouble::LineBreak => vec!["rename the folder".to_owned()],
            Trouble::Refused { .. } => {
                vec![format!(
                    "look at it: journalctl --user -u {0}, or openclaw fleet why {1}",
                    instance.unit(),
                    instance.name
                )]
            }
        }
    }
}

/// The folder of units of a manager. It goes by the user's own home, wherever the instances are.
pub fn folder(scope: Scope, ambient: &Ambient) -> Option<PathBuf> {
    if scope == Scope::System {
        return Some(PathBuf::from("/etc/systemd/system"));
    }
    let config = ambient.var("XDG_CONFIG_HOME").map(|it| ambient.path(it));
    let config = config.or_else(|| ambient.var("HOME").map(|it| PathBuf::from(it).join(".config")));
    config.map(|it| it.join("systemd/user"))
}

/// Whether a unit could be installed here and go on at the next boot.
///
/// # Errors
/// Says what is missing.
pub fn check(scope: Scope, ambient: &Ambient, without_linger: bool) -> Result<(), Trouble> {
    if !Path::new(BOOTED).is_dir() {
        return Err(Trouble::NoSystemd);
    }
    if scope == Scope::System {
        return if geteuid().is_root() { Ok(()) } else { Err(Trouble::NotRoot) };
    }
    let user = user_name();
    if !runtime(ambient).join("systemd/private").exists() && !runtime(ambient).join("bus").exists() {
        return Err(Trouble::NoManager(user));
    }
    if !without_linger && !Path::new(LINGER).join(&user).exists() {
        return Err(Trouble::NoLinger(user));
    }
    Ok(())
}

/// The unit that an instance should have. `user` is whose process it becomes, where the machine starts it.
///
/// # Errors
/// When the program's own file is not known, or a path cannot stand in a unit.
pub fn wanted(instance: &Instance, ambient: &Ambient, user: Option<String>) -> Result<Wanted, Trouble> {
    wanted_by(instance, ambient, user, None)
}

/// As [`wanted`], for a look at what stands: where this program's own file is not known, as after an upgrade, the one
/// that the unit names stays.
pub(super) fn wanted_by(
    instance: &Instance,
    ambient: &Ambient,
    user: Option<String>,
    there: Option<PathBuf>,
) -> Result<Wanted, Trouble> {
    let program = program(ambient).or(there).ok_or(Trouble::NoProgram)?;
    let address = instance.address(ambient);
    let mut environment = address.environment;
    environment.retain(|(name, _)| name.starts_with("OPENCLAW_"));
    // systemd gives the process the home that the account has, whatever it is here.
    let named = user.clone().unwrap_or_else(user_name);
    let theirs = account(|it| it.first() == Some(&named.as_str()));
    let (_, theirs) = theirs.ok_or_else(|| Trouble::NoUser(named.clone()))?;
    if let Some(ours) = ambient.home().filter(|it| *it != theirs) {
        if user.is_some() {
            return Err(Trouble::OtherHome { user: named, home: theirs });
        }
        if !environment.iter().any(|it| it.0 == "OPENCLAW_HOME") {
            environment.push(("OPENCLAW_HOME".to_owned(), ours.display().to_string()));
        }
    }
    let wanted = Wanted {
        name: instance.name.clone(),
        program,
        arguments: address.arguments,
        environment,
        user,
        steps: version(ambient).is_some_and(|it| it >= 254),
        watchdog: WATCHDOG,
    };
    let breaks = |it: &str| it.contains(['\n', '\r']);
    let all = wanted.environment.iter().map(|it| it.1.as_str()).chain(wanted.program.to_str());
    if all.chain([wanted.name.as_str()]).any(breaks) { Err(Trouble::LineBreak) } else { Ok(wanted) }
}

/// Whether systemd runs a unit from an older text than the one that stands: a reload of it is needed. `false` where
/// it cannot be asked.
pub fn is_behind(scope: Scope, ambient: &Ambient, unit: &str) -> bool {
    tell(scope, ambient, &["show", unit, "--property", "NeedDaemonReload", "--value"])
        .is_ok_and(|it| it == "yes")
}

/// Tells systemd something.
///
/// # Errors
/// With what it said.
pub fn tell(scope: Scope, ambient: &Ambient, arguments: &[&str]) -> Result<String, Trouble> {
    let what = arguments.join(" ");
    let mut command = Command::new("systemctl");
    if scope == Scope::User {
        command.arg("--user");
    }
    command.args(arguments).env_clear().envs(ambient.supervisor()).stdin(Stdio::null());
    if scope == Scope::User {
        command.env("XDG_RUNTIME_DIR", runtime(ambient));
    }
    match command.output() {
        Ok(it) if it.status.success() => Ok(String::from_utf8_lossy(&it.stdout).trim().to_owned()),
        Ok(it) => {
            Err(Trouble::Refused { what, said: base::text::line(&String::from_utf8_lossy(&it.stderr), 300) })
        }
        Err(error) => Err(Trouble::Refused { what, said: error.to_string() }),
    }
}

/// What systemd says of a unit, `Name=value` each.
///
/// # Errors
/// With what it said.
pub fn show(scope: Scope, ambient: &Ambient, unit: &str) -> Result<Vec<(String, String)>, Trouble> {
    let wanted = "ActiveState,SubState,MainPID,Result,NRestarts,ExecMainStatus,UnitFileState,NeedDaemonReload,DropInPaths,StatusText";
    let said = tell(scope, ambient, &["show", unit, "--property", wanted])?;
    let pairs = said.lines().filter_map(|it| it.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn version(ambient: &Ambient) -> Option<u32> {
    let said = tell(Scope::System, ambient, &["--version"]).ok()?;
    said.split_whitespace().nth(1)?.parse().ok()
}

fn runtime(ambient: &Ambient) -> PathBuf {
    let named = ambient.var("XDG_RUNTIME_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", geteuid().as_raw())))
}

/// This program as it is found on the path: what stands there after an upgrade is what should run then.
pub(super) fn program(ambient: &Ambient) -> Option<PathBuf> {
    let own = Ambient::program().ok()?;
    let named = ambient.var("PATH").unwrap_or_default().split(':').map(|it| Path::new(it).join("openclaw"));
    let mut found = named.filter(|it| it.is_absolute());
    let by_path = found.find(|it| fs::canonicalize(it).is_ok_and(|it| it == own));
    by_path.or(Some(own)).filter(|it| it.exists())
}

/// The user by the kernel's number; a variable may say anything.
fn user_name() -> String {
    let me = geteuid().as_raw().to_string();
    account(|it| it.get(2) == Some(&me.as_str())).map_or(me.clone(), |it| it.0)
}

/// The name and the home of an account of this machine's own list.
fn account(is_it: impl Fn(&[&str]) -> bool) -> Option<(String, PathBuf)> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut rows = users.lines().map(|it| it.split(':').collect::<Vec<_>>());
    let row = rows.find(|it| is_it(it))?;
    Some(((*row.first()?).to_owned(), PathBuf::from(*row.get(5)?)))
}
