//! The files of this repository in memory, so that a rule about them is a function that a test can feed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;

use crate::rust_text;

/// What is no part of the repository, wherever it stands. In a linked work tree `.git` is a file.
const NOT_OURS: &[&str] = &["target", ".git", "node_modules", "__pycache__"];

/// Every file under the root by its path with `/`, as text. A file that is no text is there and empty.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

/// One file of Rust.
pub(crate) struct Source<'a> {
    /// Path from the root of the repository.
    pub(crate) path: &'a str,
    /// As it is in the file.
    pub(crate) text: &'a str,
    /// Comments as spaces.
    pub(crate) no_comments: String,
    /// Comments and the contents of literals as spaces.
    pub(crate) code: String,
    /// Bytes from here on are tests; the length of the file when it has none.
    pub(crate) tests_from: usize,
}

impl Tree {
    /// Reads the repository.
    ///
    /// # Errors
    /// When a folder or a file cannot be read.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    /// A tree of the given paths and texts.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Tree { files }
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is a file or a folder of this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let inside = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path)
            || self.files.range(inside.clone()..).next().is_some_and(|(it, _)| it.starts_with(&inside))
    }

    /// Paths and texts of the files whose path ends so, sorted.
    pub(crate) fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files.iter().filter(move |(path, _)| path.ends_with(end)).map(|(path, text)| (&**path, &**text))
    }

    /// Every file of Rust, sorted by path.
    pub(crate) fn sources(&self) -> Vec<Source<'_>> {
        let mut sources: Vec<Source<'_>> = Vec::new();
        let mut test_files = BTreeSet::new();
        for (path, text) in self.ending(".rs") {
            let code = rust_text::code_only(text);
            let tests = rust_text::tests_of(&code);
            test_files.extend(tests.files.iter().map(|name| format!("{}/{name}", module_folder(path))));
            let all_tests = path.split('/').any(|it| it == "tests" || it == "benches");
            let tests_from = if all_tests { 0 } else { tests.from.unwrap_or(text.len()) };
            let no_comments = rust_text::without_comments(text);
            sources.push(Source { path, text, no_comments, code, tests_from });
        }
        for source in &mut sources {
            let module = source.path.trim_end_matches(".rs");
            let in_tests = |it: &String| module == it || source.path.starts_with(&format!("{it}/"));
            if test_files.iter().any(in_tests) {
                source.tests_from = 0;
            }
        }
        sources
    }

    fn read_folder(&mut self, root: &Path, inside: &str) -> anyhow::Result<()> {
        let folder = root.join(inside);
        let cannot = || format!("cannot read {}", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
            let kind = entry.file_type().with_context(cannot)?;
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                self.read_folder(root, &path)?;
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
                self.files.insert(path, String::from_utf8(bytes).unwrap_or_default());
            }
        }
        Ok(())
    }
}

impl Source<'_> {
    /// The crate's folder name under `crates/`, or `xtask`.
    pub(crate) fn crate_name(&self) -> &str {
        let inside = self.path.strip_prefix("crates/").unwrap_or(self.path);
        inside.split('/').next().unwrap_or(inside)
    }

    /// Whether the byte belongs to the tests.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        at >= self.tests_from
    }
}

/// Where the modules that a file declares have their files.
fn module_folder(path: &str) -> &str {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "lib.rs" | "main.rs") { folder } else { path.trim_end_matches(".rs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_files_are_tests() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "#[cfg(test)]\nmod checks;\n"),
            ("crates/a/src/checks.rs", "fn a() {}"),
            ("crates/a/src/one.rs", "#[cfg(test)]\nmod tests;\n"),
            ("crates/a/src/one/tests.rs", "fn a() {}"),
            ("crates/a/src/two.rs", "fn a() {}"),
            ("crates/a/tests/e2e/main.rs", "fn a() {}"),
        ]);
        let sources = tree.sources();
        let tests: Vec<_> = sources.iter().filter(|it| it.is_test(0)).map(|it| it.path).collect();
        assert_eq!(
            tests,
            ["crates/a/src/checks.rs", "crates/a/src/one/tests.rs", "crates/a/tests/e2e/main.rs"]
        );
        assert!(sources.iter().all(|it| it.crate_name() == "a"));
    }

    #[test]
    fn a_folder_is_there_when_a_file_is_in_it() {
        let tree = Tree::of(&[("docs/a.md", ""), ("docs-old.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/") && tree.has("docs/a.md"));
        assert!(!tree.has("doc") && !tree.has("docs/b.md"));
    }
}
