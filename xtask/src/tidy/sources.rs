//! The shape of a source file: it says what it is, it is short, and it is not called `mod.rs`.

use super::{Finding, Repository};
use crate::tree::{Source, Tree};

/// Lines of a file before its tests. A file that grows past it is two files.
const MOST_LINES: usize = 600;

/// Files that may be longer, each with how long it may be. A ratchet: lower a number, or take a line out.
const LONGER: &[(&str, usize)] = &[];

/// What clippy must be told, so that the compiler counts what this file does not.
const CLIPPY: &[&str] = &["too-many-lines-threshold = 70", "too-many-arguments-threshold = 5"];

/// What every crate's manifest must say, for the lints of the workspace to hold in it.
const INHERITS: &str = "[lints]\nworkspace = true";

pub(super) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let mut findings = too_long(&repository.tree.sources(), LONGER);
    findings.extend(shapes(&repository.tree));
    Ok(findings)
}

/// Functions and parameters are counted by clippy; this holds clippy to it.
pub(super) fn check_limits(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    Ok(limits(&repository.tree))
}

fn shapes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs") {
        if !text.starts_with("//!") {
            findings.push(Finding::at(
                path,
                1,
                "open the file with `//!`: one sentence about what it is for",
            ));
        }
        if path.ends_with("/mod.rs") {
            findings.push(Finding::in_file(path, "name it after its module: `foo.rs` beside `foo/`"));
        }
    }
    findings
}

fn too_long(sources: &[Source<'_>], longer: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        // A file of nothing but tests is read like any other.
        let counted = if source.tests_from == 0 { source.text } else { &source.text[..source.tests_from] };
        let lines = counted.lines().count();
        let most = longer.iter().find(|(path, _)| *path == source.path).map_or(MOST_LINES, |(_, most)| *most);
        if lines > most {
            findings.push(Finding::in_file(
                source.path,
                format!("{lines} lines before its tests, more than {most}: keep the contract here, and move parts to files beside it"),
            ));
        } else if most != MOST_LINES && lines <= MOST_LINES {
            findings.push(Finding::in_file(
                source.path,
                "short enough again: take it out of the list of longer files",
            ));
        }
    }
    for (path, _) in longer.iter().filter(|(path, _)| sources.iter().all(|it| it.path != *path)) {
        findings.push(Finding::in_file(path, "is gone: take it out of the list of longer files"));
    }
    findings
}

fn limits(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let clippy = tree.text("clippy.toml").unwrap_or_default();
    for wanted in CLIPPY.iter().filter(|wanted| clippy.lines().all(|it| it.trim() != **wanted)) {
        findings.push(Finding::in_file("clippy.toml", format!("must say `{wanted}`")));
    }
    // `fuzz` is a workspace of its own.
    let ours = tree.ending("/Cargo.toml").filter(|(path, _)| *path != "fuzz/Cargo.toml");
    for (path, _) in ours.filter(|(_, text)| !text.contains(INHERITS)) {
        findings.push(Finding::in_file(path, "must say `[lints]` and `workspace = true`"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{assert_holds_here, lines_of};
    use super::*;

    #[test]
    fn a_file_says_what_it_is_and_has_a_name() {
        let tree =
            Tree::of(&[("a/one.rs", "//! One.\n"), ("a/two.rs", "use x;\n"), ("a/b/mod.rs", "//! B.\n")]);
        let found = lines_of(shapes(&tree));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a/b/mod.rs: name it"), "{found:?}");
        assert!(found[1].starts_with("a/two.rs:1: open"), "{found:?}");
    }

    #[track_caller]
    fn check_length(text: &str, longer: &[(&str, usize)], expected: Option<&str>) {
        let tree = Tree::of(&[("a.rs", text)]);
        let found = lines_of(too_long(&tree.sources(), longer));
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
        assert!(found.iter().all(|it| it.contains(expected.unwrap_or_default())), "{found:?}");
    }

    #[test]
    fn counts_lines_before_the_tests() {
        let at_most = "//! A\n".repeat(MOST_LINES);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// a\n".repeat(MOST_LINES));
        check_length(&at_most, &[], None);
        check_length(&format!("{at_most}{tests}"), &[], None);
        check_length(&format!("{at_most}//! B\n"), &[], Some("601 lines before its tests, more than 600"));
    }

    #[test]
    fn the_list_of_longer_files_only_shrinks() {
        let long = "//! A\n".repeat(700);
        check_length(&long, &[("a.rs", 700)], None);
        check_length(&long, &[("a.rs", 699)], Some("more than 699"));
        check_length("//! A\n", &[("a.rs", 700)], Some("short enough again"));
        check_length("//! A\n", &[("gone.rs", 700)], Some("is gone"));
    }

    #[test]
    fn clippy_is_told_the_limits_in_every_crate() {
        let told = Tree::of(&[("clippy.toml", &CLIPPY.join("\n")), ("crates/a/Cargo.toml", INHERITS)]);
        assert_eq!(limits(&told), []);
        let loose = "too-many-lines-threshold = 700\ntoo-many-arguments-threshold = 5";
        let untold = Tree::of(&[("clippy.toml", loose), ("crates/a/Cargo.toml", "[package]")]);
        assert_eq!(limits(&untold).len(), 2);
    }

    #[test]
    fn shapes_hold_here() {
        assert_holds_here(check);
    }

    #[test]
    fn limits_hold_here() {
        assert_holds_here(check_limits);
    }
}
