//! Programs that PyPI has packages for, each in a virtual environment of its own.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::debian::run;

/// A virtual environment.
pub(super) struct Venv {
    /// Its folder's name.
    pub(super) name: &'static str,
    /// The program in it that is wanted.
    pub(super) program: &'static str,
    /// Packages, pinned, without what they depend on.
    pub(super) packages: &'static [&'static str],
    /// Why it is needed.
    pub(super) what_for: &'static str,
}

impl Venv {
    /// Where its program is.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.name).join("bin").join(self.program)
    }

    /// Whether exactly these packages are installed, here or by hand, and their Python is still there.
    pub(super) fn is_current(&self, folder: &Path) -> bool {
        let place = folder.join(self.name);
        let versions = std::fs::read_dir(place.join("lib")).into_iter().flatten().flatten();
        let libraries: Vec<PathBuf> = versions.map(|it| it.path().join("site-packages")).collect();
        let is_installed = |it: &&str| libraries.iter().any(|library| library.join(record(it)).is_file());
        // The environment's Python is a link to the one that made it.
        place.join("bin/python").exists()
            && self.path(folder).exists()
            && self.packages.iter().all(is_installed)
    }

    /// Makes it anew with the given Python.
    ///
    /// # Errors
    /// When a package cannot be had: says the command to try by hand.
    pub(super) fn install(&self, folder: &Path, python: &Path) -> anyhow::Result<()> {
        let place = folder.join(self.name);
        eprintln!(
            "installing {} (PyPI) in {}: {}",
            self.packages.join(" and "),
            place.display(),
            self.what_for
        );
        if place.exists() {
            std::fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        let log = folder.join(format!("{}.log", self.name));
        let commands = self.commands(&place, python);
        for command in &commands {
            run(command, &log).with_context(|| {
                let lines: Vec<String> = commands.iter().map(|it| format!("    {}", it.join(" "))).collect();
                format!(
                    "missing: {} ({}); run, where there is a network:\n{}\nhere it failed",
                    self.packages.join(" and "),
                    self.what_for,
                    lines.join("\n")
                )
            })?;
        }
        anyhow::ensure!(
            self.is_current(folder),
            "{} was installed and is not in {}",
            self.name,
            place.display()
        );
        Ok(())
    }

    fn commands(&self, place: &Path, python: &Path) -> [Vec<String>; 2] {
        let words = |program: &Path, rest: &[&str]| {
            let program = program.display().to_string();
            [program].into_iter().chain(rest.iter().map(|it| (*it).to_owned())).collect::<Vec<_>>()
        };
        let folder = place.display().to_string();
        let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        // Prebuilt only: a build from source would take a compiler and minutes, and not say so.
        let how = ["--no-deps", "--only-binary", ":all:"];
        let install = [&pip[..], &how, self.packages].concat();
        [words(python, &["-m", "venv", &folder]), words(&place.join("bin/python"), &install)]
    }
}

/// What pip writes last when it installs a package, `name==version`.
fn record(package: &str) -> PathBuf {
    let (name, version) = package.split_once("==").unwrap_or((package, ""));
    PathBuf::from(format!("{}-{version}.dist-info/RECORD", name.replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Venv =
        Venv { name: "a", program: "python", packages: &["one==1", "two-b==2"], what_for: "a test" };

    #[test]
    fn is_current_with_these_packages_only() {
        let folder = std::env::temp_dir().join(format!("xtask-venv-{}", std::process::id()));
        let put = |path: &str| {
            let path = folder.join("a").join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a temporary folder");
            std::fs::write(path, "").expect("writable");
        };
        assert!(!SHELL.is_current(&folder), "nothing is there");
        put("bin/python");
        put("lib/python3.11/site-packages/one-1.dist-info/RECORD");
        put("lib/python3.11/site-packages/two_b-1.dist-info/RECORD");
        assert!(!SHELL.is_current(&folder), "another version");
        put("lib/python3.11/site-packages/two_b-2.dist-info/RECORD");
        assert!(SHELL.is_current(&folder));
        std::fs::remove_file(folder.join("a/bin/python")).expect("it was put there");
        assert!(!SHELL.is_current(&folder), "without a Python");
        std::fs::remove_dir_all(folder).expect("clean up");
    }

    #[test]
    fn says_what_it_would_run() {
        let [make, install] = SHELL.commands(Path::new("t/a"), Path::new("python3"));
        assert_eq!(make.join(" "), "python3 -m venv t/a");
        assert!(install.join(" ").starts_with("t/a/bin/python -m pip install --quiet"), "{install:?}");
        assert!(install.ends_with(&["one==1".to_owned(), "two-b==2".to_owned()]), "{install:?}");
    }

    #[test]
    fn a_failure_names_the_command_and_leaves_nothing_that_passes() {
        let folder = std::env::temp_dir().join(format!("xtask-venv-failed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let error = SHELL.install(&folder, Path::new("/bin/false")).expect_err("no Python");
        assert!(!SHELL.is_current(&folder));
        std::fs::remove_dir_all(folder).expect("clean up");
        let text = format!("{error:#}");
        assert!(text.contains("where there is a network:\n    /bin/false -m venv"), "{text}");
    }
}
