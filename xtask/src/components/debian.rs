//! Programs that Debian has packages for.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Names that the browser goes by.
pub(super) const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
/// The tracer's name.
pub(super) const STRACE: &[&str] = &["strace"];

/// A program (by its name, or any file by its path), the packages that bring it, and why it is needed.
struct Need {
    programs: &'static [&'static str],
    packages: &'static [&'static str],
    what_for: &'static str,
}

const NEEDS: &[Need] = &[
    Need { programs: &["cc"], packages: &["gcc", "libc6-dev"], what_for: "SQLite and ring are C" },
    Need {
        programs: STRACE,
        packages: &["strace"],
        what_for: "tests look at system calls, and make them fail",
    },
    Need { programs: CHROMIUM, packages: &["chromium"], what_for: "tests drive a real browser" },
    Need {
        programs: &["/lib/systemd/systemd"],
        packages: &["systemd"],
        what_for: "tests boot a machine whose services are gateways",
    },
    Need {
        programs: &["dbus-daemon"],
        packages: &["dbus"],
        what_for: "the machine that tests boot has a message bus",
    },
    Need {
        programs: &["/usr/lib/systemd/user/dbus.socket"],
        packages: &["dbus-user-session"],
        what_for: "its users have one each",
    },
    Need {
        programs: &[
            "/usr/lib/x86_64-linux-gnu/security/pam_systemd.so",
            "/usr/lib/aarch64-linux-gnu/security/pam_systemd.so",
        ],
        packages: &["libpam-systemd"],
        what_for: "its users have services of their own",
    },
    Need { programs: &["ip"], packages: &["iproute2"], what_for: "it has a network of its own" },
    Need { programs: &["nsenter"], packages: &["util-linux"], what_for: "commands are run in it" },
];

const PYTHON: Need = Need {
    programs: &["python3"],
    packages: &["python3", "python3-venv"],
    what_for: "components from PyPI are installed with it",
};

/// How a command becomes root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    /// It is.
    Already,
    /// By sudo, which asks for no password.
    Sudo,
    /// Not by itself.
    No,
}

/// Installs the packages of what is missing, and says so in one line each.
///
/// # Errors
/// When packages are missing and this may not or cannot install them: says the command that would.
pub(super) fn provide(folder: &Path, with_python: bool) -> anyhow::Result<()> {
    let python = with_python.then_some(&PYTHON).filter(|_| python().is_none());
    let missing: Vec<&Need> = NEEDS.iter().filter(|it| find(it.programs).is_none()).chain(python).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|it| it.packages).copied().collect();
    if find(&["apt-get"]).is_none() {
        anyhow::bail!("{}", by_hand(&missing));
    }
    let root = root();
    let commands = commands(root, &packages);
    anyhow::ensure!(root != Root::No, "{}\nas root:\n{}", names(&missing), shown(&commands));
    for it in &missing {
        eprintln!("installing {} (Debian): {}", it.packages.join(" and "), it.what_for);
    }
    let log = folder.join("apt.log");
    for command in &commands {
        run(command, &log).with_context(|| {
            format!(
                "{}\nrun, where there is a network:\n{}\nhere it failed",
                names(&missing),
                shown(&commands)
            )
        })?;
    }
    let still: Vec<&Need> = missing.into_iter().filter(|it| !is_there(it)).collect();
    anyhow::ensure!(
        still.is_empty(),
        "{} and was installed just now: look into {}",
        names(&still),
        log.display()
    );
    Ok(())
}

/// The first program of these names on the PATH.
pub(super) fn find(names: &[&str]) -> Option<PathBuf> {
    find_in(&std::env::var_os("PATH").unwrap_or_default(), names)
}

/// A Python that can make a virtual environment. The first on the PATH may be one without; then Debian's own.
pub(super) fn python() -> Option<PathBuf> {
    let able = |it: &PathBuf| {
        let mut command = Command::new(it);
        command.args(["-c", "import ensurepip, venv"]).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).status().is_ok_and(|it| it.success())
    };
    find(PYTHON.programs).into_iter().chain([PathBuf::from("/usr/bin/python3")]).find(able)
}

fn is_there(need: &Need) -> bool {
    if need.programs == PYTHON.programs { python().is_some() } else { find(need.programs).is_some() }
}

fn find_in(path: &OsStr, names: &[&str]) -> Option<PathBuf> {
    let runs =
        |it: &PathBuf| it.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    if let Some(it) = names.iter().map(Path::new).find(|it| it.is_absolute() && it.is_file()) {
        return Some(it.to_path_buf());
    }
    names.iter().find_map(|name| std::env::split_paths(path).map(|it| it.join(name)).find(runs))
}

fn root() -> Root {
    let says = |program: &str, arguments: &[&str]| {
        let output =
            Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
        output
            .ok()
            .filter(|it| it.status.success())
            .map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
    };
    match says("id", &["-u"]).as_deref() {
        Some("0") => Root::Already,
        _ if says("sudo", &["-n", "true"]).is_some() => Root::Sudo,
        _ => Root::No,
    }
}

/// What to run, in order.
fn commands(root: Root, packages: &[&str]) -> Vec<Vec<String>> {
    // Another one may be at it: wait for its lock rather than fail.
    let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"];
    let before: &[&str] = if root == Root::Sudo { &["sudo", "-n"] } else { &[] };
    let command = |rest: &[&str]| [before, &apt, rest].concat().iter().map(|it| (*it).to_owned()).collect();
    vec![command(&["update"]), command(&[&["install", "-y", "--no-install-recommends"], packages].concat())]
}

/// Commands as a person would type them.
fn shown(commands: &[Vec<String>]) -> String {
    let noise =
        ["env", "DEBIAN_FRONTEND=noninteractive", "-q", "-o", "DPkg::Lock::Timeout=300", "sudo", "-n"];
    let words = |it: &Vec<String>| {
        it.iter().filter(|it| !noise.contains(&it.as_str())).cloned().collect::<Vec<_>>().join(" ")
    };
    commands.iter().map(|it| format!("    {}", words(it))).collect::<Vec<_>>().join("\n")
}

fn names(missing: &[&Need]) -> String {
    let lines = missing.iter().map(|it| format!("{} is missing ({})", it.programs[0], it.what_for));
    lines.collect::<Vec<_>>().join("\n")
}

fn by_hand(missing: &[&Need]) -> String {
    let packages: Vec<&str> = missing.iter().flat_map(|it| it.packages).copied().collect();
    format!(
        "{}\nthis system has no apt-get: install what Debian calls {}",
        names(missing),
        packages.join(", ")
    )
}

/// Runs a command with its output in a log, and shows the end of it when it fails.
pub(super) fn run(command: &[String], log: &Path) -> anyhow::Result<()> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = file.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
    let mut running = Command::new(&command[0]);
    running.args(&command[1..]).stdin(Stdio::null()).stdout(file).stderr(errors);
    let status = running.status().with_context(|| format!("cannot run {}", command[0]))?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(8)..].join("\n");
    anyhow::bail!("`{}` ended with {status}:\n{end}", command.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_programs_and_no_other_files() {
        let path = std::env::join_paths(["/nowhere", "/usr/bin", "/bin"]).expect("no colon in them");
        assert!(find_in(&path, &["sh"]).is_some());
        assert!(find_in(&path, &["no-such-program", "sh"]).is_some());
        assert_eq!(find_in(&path, &["no-such-program"]), None);
        // A folder, and a file that nobody may run.
        assert_eq!(find_in(OsStr::new("/"), &["usr"]), None);
        assert_eq!(find_in(OsStr::new("/etc"), &["passwd"]), None);
        assert_eq!(find_in(OsStr::new(""), &["/nowhere", "/etc/passwd"]), Some(PathBuf::from("/etc/passwd")));
    }

    #[test]
    fn says_the_command_as_a_person_would_type_it() {
        for root in [Root::Already, Root::Sudo, Root::No] {
            let commands = commands(root, &["strace", "chromium"]);
            assert_eq!(commands[1].first().map(String::as_str) == Some("sudo"), root == Root::Sudo);
            let expected =
                "    apt-get update\n    apt-get install -y --no-install-recommends strace chromium";
            assert_eq!(shown(&commands), expected);
        }
    }

    #[test]
    fn names_what_is_missing_and_why() {
        let text = by_hand(&[&NEEDS[1], &PYTHON]);
        assert!(text.starts_with("strace is missing (tests look at system calls"), "{text}");
        assert!(text.ends_with("install what Debian calls strace, python3, python3-venv"), "{text}");
    }

    #[test]
    fn a_failed_command_shows_the_end_of_its_output() {
        let log = std::env::temp_dir().join(format!("xtask-debian-{}.log", std::process::id()));
        let command = ["sh", "-c", "echo one; echo two >&2; exit 4"].map(str::to_owned);
        let text = run(&command, &log).expect_err("it fails").to_string();
        std::fs::remove_file(&log).expect("the log was written");
        assert!(text.ends_with("ended with exit status: 4:\none\ntwo"), "{text}");
    }
}
