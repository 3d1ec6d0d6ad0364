//! Words that belong to a machine and not to this repository.

use super::{Finding, Repository};
use crate::rust_text::line_of;
use crate::tree::Tree;

/// Folders of somebody's machine, put together so that this file does not say them.
const FOLDERS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/mn", "t/"), concat!("/Us", "ers/")];

/// Hosts that package clients know by themselves.
const HOSTS: &[&str] = &[
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("registry.npm", "js.org"),
    concat!("index.cra", "tes.io"),
    concat!("static.cra", "tes.io"),
    concat!("deb.deb", "ian.org"),
];

/// Written by cargo.
const NOT_OURS: &[&str] = &["Cargo.lock"];

pub(super) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    Ok(foreign(&repository.tree))
}

fn foreign(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending("").filter(|(path, _)| !NOT_OURS.contains(path)) {
        for folder in FOLDERS {
            // `a/b/` and `https://host/b/` are no folders of a machine.
            let absolute = |at: &usize| {
                !text[..*at].ends_with(|it: char| {
                    it.is_alphanumeric() || matches!(it, '_' | '-' | '.' | '~' | '}' | '>')
                })
            };
            for at in text.match_indices(folder).map(|(at, _)| at).filter(absolute) {
                findings.push(Finding::at(
                    path,
                    line_of(text, at),
                    format!(
                        "`{folder}` is a folder of some machine: take it as a parameter, or write it from `~`"
                    ),
                ));
            }
        }
        for host in HOSTS {
            for (at, _) in text.match_indices(host) {
                findings.push(Finding::at(
                    path,
                    line_of(text, at),
                    format!("`{host}`: name the package, and leave the registry to its client"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::assert_holds_here;
    use super::*;

    #[track_caller]
    fn check_text(text: &str, expected: usize) {
        let tree = Tree::of(&[("docs/a.md", text), ("Cargo.lock", text)]);
        let found = foreign(&tree);
        assert_eq!(found.len(), expected, "{text}: {found:?}");
    }

    #[test]
    fn refuses_folders_of_a_machine_and_hosts_of_registries() {
        for folder in FOLDERS {
            check_text(&format!("see {folder}a"), 1);
            check_text(&format!("\"{folder}a\" and ({folder}b)"), 2);
            check_text(
                &format!("https://host{folder}a and a{folder}b and ~{folder}c and {{name}}{folder}"),
                0,
            );
        }
        for host in HOSTS {
            check_text(&format!("https://{host}/simple"), 1);
        }
        check_text("crates.io and PyPI, by name", 0);
    }

    #[test]
    fn holds_here() {
        assert_holds_here(check);
    }
}
