//! Packages from npm, in a folder of their own, installed by a Node that PyPI has a package for.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::debian::run;

/// Packages in one folder.
pub(super) struct Npm {
    /// The folder's name.
    pub(super) name: &'static str,
    /// Packages with their versions, pinned. What they depend on is as they say.
    pub(super) packages: &'static [(&'static str, &'static str)],
    /// Why they are needed.
    pub(super) what_for: &'static str,
}

impl Npm {
    /// Where they are.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.name)
    }

    /// Whether exactly these versions are installed.
    pub(super) fn is_current(&self, folder: &Path) -> bool {
        let wanted = |(name, version): &(&str, &str)| {
            let about = self.path(folder).join("node_modules").join(name).join("package.json");
            let text = std::fs::read_to_string(about).unwrap_or_default();
            text.contains(&format!("\"version\": \"{version}\""))
        };
        self.path(folder).join(DONE).exists() && self.packages.iter().all(wanted)
    }

    /// Installs them anew.
    ///
    /// # Errors
    /// When a package cannot be had: says the command to try by hand.
    pub(super) fn install(&self, folder: &Path, node: &Path) -> anyhow::Result<()> {
        let place = self.path(folder);
        let names: Vec<String> =
            self.packages.iter().map(|(name, version)| format!("{name}@{version}")).collect();
        eprintln!("installing {} (npm) in {}: {}", names.join(", "), place.display(), self.what_for);
        if place.exists() {
            std::fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        std::fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        std::fs::write(place.join("package.json"), "{\"private\": true}\n")?;
        let command = Self::command(&place, node, &names);
        run(&command, &folder.join(format!("{}.log", self.name))).with_context(|| {
            format!(
                "missing: {} ({}); run, where there is a network:\n    {}\nhere it failed",
                names.join(", "),
                self.what_for,
                command.join(" ")
            )
        })?;
        std::fs::write(place.join(DONE), "")?;
        anyhow::ensure!(
            self.is_current(folder),
            "{} was installed and is not in {}",
            names.join(", "),
            place.display()
        );
        Ok(())
    }

    /// No script of a package is run: they are here to be clients.
    fn command(place: &Path, node: &Path, packages: &[String]) -> Vec<String> {
        let npm = node.with_file_name("npm");
        // npm is a program for the Node beside it.
        let path = format!("PATH={}:/usr/bin:/bin", node.parent().unwrap_or(Path::new(".")).display());
        let fixed =
            ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"];
        let words = ["env".to_owned(), path, npm.display().to_string()];
        let fixed = fixed.into_iter().map(str::to_owned);
        words
            .into_iter()
            .chain(fixed)
            .chain([place.display().to_string()])
            .chain(packages.iter().cloned())
            .collect()
    }
}

/// Written when all is there: an install that was cut off is done again.
const DONE: &str = "installed";

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Npm =
        Npm { name: "two", packages: &[("one", "1.0.0"), ("@a/b", "2.0.0")], what_for: "a test" };

    #[test]
    fn is_current_with_these_versions_only() {
        let folder = std::env::temp_dir().join(format!("xtask-npm-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = folder.join("two").join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a temporary folder");
            std::fs::write(path, text).expect("writable");
        };
        put("node_modules/one/package.json", "{\n  \"version\": \"1.0.0\"\n}");
        put("node_modules/@a/b/package.json", "{\n  \"version\": \"1.9.0\"\n}");
        put(DONE, "");
        assert!(!TWO.is_current(&folder), "another version");
        put("node_modules/@a/b/package.json", "{\n  \"version\": \"2.0.0\"\n}");
        assert!(TWO.is_current(&folder));
        std::fs::remove_file(folder.join("two").join(DONE)).expect("it was put there");
        assert!(!TWO.is_current(&folder), "cut off");
        std::fs::remove_dir_all(folder).expect("clean up");
    }

    #[test]
    fn says_what_it_would_run() {
        let command = Npm::command(Path::new("t/two"), Path::new("n/bin/node"), &["one@1.0.0".to_owned()]);
        let text = command.join(" ");
        assert!(
            text.starts_with("env PATH=n/bin:/usr/bin:/bin n/bin/npm install --ignore-scripts"),
            "{text}"
        );
        assert!(text.ends_with("--prefix t/two one@1.0.0"), "{text}");
    }
}
