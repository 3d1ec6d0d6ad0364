//! The resolver: from flags and surroundings to one immutable instance, or to a refusal that names both sides.

use std::path::{Path, PathBuf};

use crate::ambient::{Ambient, TOOL_VARIABLE};
use crate::name::{BadName, ProfileName};
use crate::ports::{DEFAULT_BASE, DEV_BASE};
use crate::registry::Host;

/// The config file's name within the state folder.
const CONFIG: &str = "openclaw.json";
/// The name of the instance without a profile.
const DEFAULT_NAME: &str = "default";
/// The profile of `--dev`.
const DEV: &str = "dev";

/// What the command line says about the instance.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `--profile NAME`.
    pub profile: Option<String>,
    /// `--dev`.
    pub dev: bool,
}

/// One gateway's identity. Resolved once and never changed; nothing below computes a path or a name again.
#[derive(Debug, Clone)]
pub struct Instance {
    /// For people and messages: the profile, `default`, or the state folder's own name.
    pub name: String,
    /// The profile, where one was named.
    pub profile: Option<ProfileName>,
    /// Where it keeps everything.
    pub state_dir: PathBuf,
    /// Its config document.
    pub config_path: PathBuf,
    /// The default agent's workspace where the config names none.
    pub workspace: PathBuf,
    /// The port that the environment asks for; a flag goes before it, the config after it.
    pub env_port: Option<u16>,
    /// The base port where neither flag, environment nor config name one; `None` for a profile, which is given
    /// one of its own by `setup`.
    pub default_port: Option<u16>,
    /// The records of all instances of this user.
    pub host: Host,
}

/// What a process of ours is started with, so that it acts on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// In front of the command.
    pub arguments: Vec<String>,
    /// All of it.
    pub environment: Vec<(String, String)>,
}

/// Why no instance could be resolved.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unresolved {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Two selectors.
    #[error("Cannot combine --dev with --profile")]
    DevAndProfile,
    /// No home, and nothing else that says where.
    #[error("no home folder: set HOME, or OPENCLAW_STATE_DIR and OPENCLAW_CONFIG_PATH")]
    NoHome,
    /// Flag and environment name two instances.
    #[error("{flag} means {}, but {variable} says {}", ours.display(), theirs.display())]
    Contradiction {
        /// The flag or variable that goes first.
        flag: String,
        /// What it means.
        ours: PathBuf,
        /// The variable that says otherwise.
        variable: &'static str,
        /// What it says.
        theirs: PathBuf,
    },
    /// A command of a tool that names no instance.
    #[error("this was started by a tool of instance {0}, and names no instance")]
    InsideTool(String),
    /// A port that is none.
    #[error("OPENCLAW_GATEWAY_PORT is `{0}`, which is no port (1 to 65535)")]
    Port(String),
}

impl Unresolved {
    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Unresolved::Contradiction { variable, flag, .. } => Some(format!(
                "unset {variable} to act on {flag}, or leave the flag out to act on what the environment names"
            )),
            Unresolved::Port(_) => Some("correct or unset OPENCLAW_GATEWAY_PORT".to_owned()),
            Unresolved::Name(_) => {
                let words = "a name has 1 to 64 of these and begins with a letter or a number";
                Some(format!("{words}; look at --profile and OPENCLAW_PROFILE"))
            }
            Unresolved::DevAndProfile => Some("leave one of them out".to_owned()),
            Unresolved::InsideTool(name) => {
                Some(format!("say which one: --profile {name}, or --profile default"))
            }
            Unresolved::NoHome => None,
        }
    }
}

impl Instance {
    /// Resolves the instance. The flag goes before the environment; where the environment names another place
    /// than the flag does, that is an error and never a silent choice.
    ///
    /// # Errors
    /// Names what contradicts what.
    pub fn resolve(ambient: &Ambient, selection: &Selection) -> Result<Self, Unresolved> {
        let named = named(ambient, selection)?;
        let home = ambient.home();
        let canonical = home.as_deref().map(|home| folder_of(home, named.profile.as_ref()));
        let state_env = ambient.var("OPENCLAW_STATE_DIR").map(|it| ambient.path(it));
        let config_env = ambient.var("OPENCLAW_CONFIG_PATH").map(|it| ambient.path(it));
        if let Some(owner) = ambient.var(TOOL_VARIABLE)
            && named.by.is_none()
            && state_env.is_none()
        {
            return Err(Unresolved::InsideTool(base::text::line(owner, 64)));
        }
        if let Some(flag) = &named.by {
            check(flag, canonical.as_deref(), state_env.as_deref(), config_env.as_deref(), home.as_deref())?;
        }
        let state_dir = state_env.or(canonical).ok_or(Unresolved::NoHome)?;
        let config_path = config_env.unwrap_or_else(|| state_dir.join(CONFIG));
        let (name, profile) = label(named.profile, &state_dir, home.as_deref());
        // The port of a parent gateway must not reach a command that names another instance.
        let env_port = if named.by.as_ref().is_some_and(|it| it.from_flag) { None } else { port(ambient)? };
        let host = Host::of(ambient, &state_dir);
        Ok(Self { env_port, ..Self::at(host, name, profile, state_dir, config_path) })
    }

    /// The instance of a profile, or the one without, whatever the environment says.
    ///
    /// # Errors
    /// When there is no home to have it in.
    pub fn of_profile(ambient: &Ambient, profile: Option<ProfileName>) -> Result<Self, Unresolved> {
        let home = ambient.home().ok_or(Unresolved::NoHome)?;
        let state_dir = folder_of(&home, profile.as_ref());
        let name = profile.as_ref().map_or(DEFAULT_NAME, ProfileName::as_str).to_owned();
        let host = Host::of(ambient, &state_dir);
        let config_path = state_dir.join(CONFIG);
        Ok(Self::at(host, name, profile, state_dir, config_path))
    }

    /// The instance that has this state folder, called as one is that was started by its folder alone. Its config is
    /// the folder's own.
    pub fn of_folder(ambient: &Ambient, state_dir: &Path) -> Self {
        let (name, profile) = label(None, state_dir, ambient.home().as_deref());
        let host = Host::of(ambient, state_dir);
        Self::at(host, name, profile, state_dir.to_path_buf(), state_dir.join(CONFIG))
    }

    /// The instance that has these places.
    pub fn at(
        host: Host,
        name: String,
        profile: Option<ProfileName>,
        state_dir: PathBuf,
        config_path: PathBuf,
    ) -> Self {
        let suffix = profile.as_ref().map(|it| format!("-{it}")).unwrap_or_default();
        let default_port = match &profile {
            None => Some(DEFAULT_BASE),
            Some(it) if it.as_str() == DEV => Some(DEV_BASE),
            Some(_) => None,
        };
        let workspace = state_dir.join(format!("workspace{suffix}"));
        Self { name, profile, state_dir, config_path, workspace, env_port: None, default_port, host }
    }

    /// Every state folder below the home that has the name of a profile's or is the one without: the profile of
    /// each, whether or not a gateway was ever there.
    pub fn folders_at_home(ambient: &Ambient) -> Vec<(Option<ProfileName>, PathBuf)> {
        let Some(home) = ambient.home() else { return Vec::new() };
        let entries = std::fs::read_dir(&home).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let mut found: Vec<_> = entries
            .into_iter()
            .map(|it| it.path())
            .filter_map(|it| profile_at(&it, &home).map(|profile| (profile, it)))
            .filter(|(_, path)| path.is_dir())
            .collect();
        found.sort();
        found
    }

    /// The beginning of a command line of ours that acts on this instance, for messages.
    pub fn command(&self) -> String {
        match &self.profile {
            Some(profile) => format!("openclaw --profile {profile}"),
            None => "openclaw".to_owned(),
        }
    }

    /// How a process of ours is led to this instance, whatever it inherits: by its profile where that means these
    /// places, else by the places.
    pub fn address(&self, ambient: &Ambient) -> Address {
        let canonical = Self::of_profile(ambient, self.profile.clone());
        let is_canonical =
            canonical.is_ok_and(|it| it.state_dir == self.state_dir && it.config_path == self.config_path);
        if is_canonical {
            let arguments = vec!["--profile".to_owned(), self.name.clone()];
            return Address { arguments, environment: ambient.without_instance() };
        }
        Address { arguments: Vec::new(), environment: self.surroundings(ambient) }
    }

    /// The environment of somebody else's program that is to act on this instance through commands of ours.
    pub fn surroundings(&self, ambient: &Ambient) -> Vec<(String, String)> {
        let mut environment = ambient.without_instance();
        let places = [("OPENCLAW_STATE_DIR", &self.state_dir), ("OPENCLAW_CONFIG_PATH", &self.config_path)];
        environment.extend(places.map(|(name, path)| (name.to_owned(), path.display().to_string())));
        environment
    }

    /// The name of its service unit.
    pub fn unit(&self) -> String {
        let suffix = self.profile.as_ref().map(|it| format!("-{it}")).unwrap_or_default();
        format!("openclaw-gateway{suffix}.service")
    }
}

struct Named {
    profile: Option<ProfileName>,
    by: Option<Selector>,
}

struct Selector {
    text: String,
    from_flag: bool,
}

fn named(ambient: &Ambient, selection: &Selection) -> Result<Named, Unresolved> {
    let (name, text, from_flag) = match (&selection.profile, selection.dev, ambient.var("OPENCLAW_PROFILE")) {
        (Some(_), true, _) => return Err(Unresolved::DevAndProfile),
        (Some(name), false, _) => (name.as_str(), format!("--profile {name}"), true),
        (None, true, _) => (DEV, "--dev".to_owned(), true),
        (None, false, Some(name)) => (name, format!("OPENCLAW_PROFILE={name}"), false),
        (None, false, None) => return Ok(Named { profile: None, by: None }),
    };
    Ok(Named { profile: ProfileName::parse(name)?, by: Some(Selector { text, from_flag }) })
}

fn folder_of(home: &Path, profile: Option<&ProfileName>) -> PathBuf {
    match profile {
        Some(profile) => home.join(format!(".openclaw-{profile}")),
        None => home.join(".openclaw"),
    }
}

/// A flag stands against every other place. A profile out of the environment, where it often stands beside the
/// places of a container, stands only against the place of another profile.
fn check(
    selector: &Selector,
    canonical: Option<&Path>,
    state: Option<&Path>,
    config: Option<&Path>,
    home: Option<&Path>,
) -> Result<(), Unresolved> {
    let Some(ours) = canonical else { return Ok(()) };
    let elsewhere = |theirs: &Path, own: &Path| {
        !same(theirs, own)
            && (selector.from_flag || home.is_some_and(|home| profile_at(theirs, home).is_some()))
    };
    let contradiction = |ours: &Path, variable, theirs: &Path| Unresolved::Contradiction {
        flag: selector.text.clone(),
        ours: ours.to_path_buf(),
        variable,
        theirs: theirs.to_path_buf(),
    };
    if let Some(theirs) = state
        && elsewhere(theirs, ours)
    {
        return Err(contradiction(ours, "OPENCLAW_STATE_DIR", theirs));
    }
    if let Some(theirs) = config
        && selector.from_flag
        && !same(theirs, &ours.join(CONFIG))
    {
        return Err(contradiction(&ours.join(CONFIG), "OPENCLAW_CONFIG_PATH", theirs));
    }
    Ok(())
}

/// Whether two paths name the same thing, links followed where they exist.
pub fn same(a: &Path, b: &Path) -> bool {
    let real = |it: &Path| std::fs::canonicalize(it).unwrap_or_else(|_| it.components().collect());
    real(a) == real(b)
}

/// Which profile's own folder a path is: `Some(None)` for the default instance's.
fn profile_at(path: &Path, home: &Path) -> Option<Option<ProfileName>> {
    let rest = path.strip_prefix(home).ok()?.to_str()?.strip_prefix(".openclaw")?;
    match rest.strip_prefix('-') {
        None => rest.is_empty().then_some(None),
        Some(name) => ProfileName::parse(name).ok(),
    }
}

/// The instance's name. One that was started by paths alone is called after the profile whose folder it has,
/// else after its folder.
fn label(
    profile: Option<ProfileName>,
    state_dir: &Path,
    home: Option<&Path>,
) -> (String, Option<ProfileName>) {
    let profile = profile.or_else(|| profile_at(state_dir, home?).flatten());
    let name = match &profile {
        Some(it) => it.to_string(),
        None if home.is_none_or(|home| profile_at(state_dir, home).is_none()) => {
            let folder = state_dir.file_name().map(|it| it.to_string_lossy().into_owned());
            folder.map_or_else(
                || DEFAULT_NAME.to_owned(),
                |it| base::text::line(it.trim_start_matches('.'), 64),
            )
        }
        None => DEFAULT_NAME.to_owned(),
    };
    (name, profile)
}

fn port(ambient: &Ambient) -> Result<Option<u16>, Unresolved> {
    let Some(text) = ambient.var("OPENCLAW_GATEWAY_PORT") else { return Ok(None) };
    match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(Unresolved::Port(base::text::line(text, 40))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], profile: Option<&str>) -> Result<Instance, Unresolved> {
        let mut all = vec![("HOME", "/home/ada")];
        all.extend_from_slice(variables);
        let selection = Selection { profile: profile.map(str::to_owned), dev: false };
        Instance::resolve(&Ambient::of(&all, Path::new("/srv")), &selection)
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], profile: Option<&str>, expected: (&str, &str, &str)) {
        let it = resolve(variables, profile).expect("resolves");
        let found = (it.name.as_str(), it.state_dir.to_str(), it.config_path.to_str());
        assert_eq!(found, (expected.0, Some(expected.1), Some(expected.2)));
    }

    #[test]
    fn places_are_those_of_the_original() {
        check(&[], None, ("default", "/home/ada/.openclaw", "/home/ada/.openclaw/openclaw.json"));
        check(&[], Some("Default"), ("default", "/home/ada/.openclaw", "/home/ada/.openclaw/openclaw.json"));
        check(
            &[],
            Some("main"),
            ("main", "/home/ada/.openclaw-main", "/home/ada/.openclaw-main/openclaw.json"),
        );
        check(
            &[("OPENCLAW_PROFILE", "rescue")],
            None,
            ("rescue", "/home/ada/.openclaw-rescue", "/home/ada/.openclaw-rescue/openclaw.json"),
        );
        check(
            &[("OPENCLAW_CONFIG_PATH", "~/.openclaw/main.json"), ("OPENCLAW_STATE_DIR", "~/.openclaw-main")],
            None,
            ("main", "/home/ada/.openclaw-main", "/home/ada/.openclaw/main.json"),
        );
        check(
            &[("OPENCLAW_STATE_DIR", "/data/acme")],
            None,
            ("acme", "/data/acme", "/data/acme/openclaw.json"),
        );
    }

    #[test]
    fn the_flag_goes_before_the_profile_and_the_port_of_a_parent() {
        let variables = [("OPENCLAW_PROFILE", "other"), ("OPENCLAW_GATEWAY_PORT", "19789")];
        let it = resolve(&variables, Some("main")).expect("resolves");
        assert_eq!((it.name.as_str(), it.env_port), ("main", None));
        assert_eq!(resolve(&variables, None).expect("resolves").env_port, Some(19789));
    }

    #[test]
    fn a_folder_alone_names_its_instance() {
        let ambient = Ambient::of(&[("HOME", "/home/ada")], Path::new("/srv"));
        for (folder, name, profile) in [
            ("/home/ada/.openclaw", "default", None),
            ("/home/ada/.openclaw-work", "work", Some("work")),
            ("/data/acme", "acme", None),
        ] {
            let it = Instance::of_folder(&ambient, Path::new(folder));
            let found = it.profile.as_ref().map(ProfileName::as_str);
            assert_eq!((it.name.as_str(), found), (name, profile), "{folder}");
            assert_eq!(it.config_path, Path::new(folder).join(CONFIG));
        }
    }

    #[test]
    fn a_contradiction_names_both_sides() {
        for (variable, value) in
            [("OPENCLAW_STATE_DIR", "/home/ada/.openclaw-b"), ("OPENCLAW_CONFIG_PATH", "/home/ada/b.json")]
        {
            let refused = resolve(&[(variable, value)], Some("a")).expect_err("two instances");
            let text = refused.to_string();
            assert!(
                text.contains("--profile a") && text.contains(variable) && text.contains(value),
                "{text}"
            );
        }
        let agreeing = [("OPENCLAW_STATE_DIR", "~/.openclaw-a/"), ("OPENCLAW_PROFILE", "b")];
        assert_eq!(resolve(&agreeing, Some("a")).expect("the same place").name, "a");
        let split = [("OPENCLAW_PROFILE", "a"), ("OPENCLAW_STATE_DIR", "~/.openclaw-b")];
        assert!(matches!(resolve(&split, None), Err(Unresolved::Contradiction { .. })));
        let container = [("OPENCLAW_PROFILE", "a"), ("OPENCLAW_STATE_DIR", "/data")];
        assert_eq!(resolve(&container, None).expect("a place of its own").name, "a");
    }

    #[test]
    fn a_profile_keeps_its_workspace_at_home_and_has_no_port_but_its_own() {
        let it = resolve(&[], Some("rescue")).expect("resolves");
        assert_eq!(it.workspace, Path::new("/home/ada/.openclaw-rescue/workspace-rescue"));
        assert_eq!((it.default_port, it.unit().as_str()), (None, "openclaw-gateway-rescue.service"));
        let it = resolve(&[], None).expect("resolves");
        assert_eq!((it.default_port, it.unit().as_str()), (Some(DEFAULT_BASE), "openclaw-gateway.service"));
    }

    #[test]
    fn a_command_of_a_tool_reaches_no_instance_that_it_does_not_name() {
        let inside = ("OPENCLAW_TOOL_OF", "main");
        let refused = resolve(&[inside], None).expect_err("names none");
        assert_eq!(refused, Unresolved::InsideTool("main".into()));
        assert_eq!(resolve(&[inside], Some("default")).expect("named").name, "default");
        let named = [inside, ("OPENCLAW_PROFILE", "rescue")];
        assert_eq!(resolve(&named, None).expect("named by the tool itself").name, "rescue");
    }

    #[test]
    fn a_process_is_led_to_the_instance_it_is_meant_for() {
        let ambient = Ambient::of(&[("HOME", "/home/ada"), ("OPENCLAW_PROFILE", "other")], Path::new("/"));
        let again = |it: &Instance| {
            let address = it.address(&ambient);
            let variables: Vec<_> =
                address.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let profile = address.arguments.get(1).cloned();
            let found = Ambient::of(&variables, Path::new("/elsewhere"));
            Instance::resolve(&found, &Selection { profile, dev: false }).expect("resolves")
        };
        for (variables, profile) in [
            (vec![], None),
            (vec![], Some("main")),
            (vec![("OPENCLAW_STATE_DIR", "/data/acme")], None),
            (vec![("OPENCLAW_STATE_DIR", "~/.openclaw-main"), ("OPENCLAW_CONFIG_PATH", "~/main.json")], None),
        ] {
            let meant = resolve(&variables, profile).expect("resolves");
            let found = again(&meant);
            assert_eq!(
                (found.name, found.state_dir, found.config_path),
                (meant.name, meant.state_dir, meant.config_path)
            );
        }
    }

    #[test]
    fn bad_words_are_refused() {
        assert_eq!(resolve(&[], Some("../x")).expect_err("a path"), Unresolved::Name(BadName));
        let port = [("OPENCLAW_GATEWAY_PORT", "99999")];
        assert_eq!(resolve(&port, None).expect_err("no port"), Unresolved::Port("99999".into()));
        let both = Selection { profile: Some("a".into()), dev: true };
        let homeless = Ambient::of(&[], Path::new("/"));
        assert_eq!(Instance::resolve(&homeless, &both).expect_err("two"), Unresolved::DevAndProfile);
        let none = Selection::default();
        assert_eq!(Instance::resolve(&homeless, &none).expect_err("homeless"), Unresolved::NoHome);
    }
}
