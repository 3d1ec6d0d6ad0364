//! Documents: the map is short, links lead somewhere, and what is generated is current.

use super::{Finding, Repository};
use crate::codegen;
use crate::tree::Tree;

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// A map that is longer is not read.
const MOST_LINES: usize = 150;

pub(super) fn check_architecture(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    Ok(architecture(&repository.tree))
}

pub(super) fn check_links(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    Ok(links(&repository.tree))
}

pub(super) fn check_generated(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let binary = crate::programs()?.join(codegen::PROGRAM);
    let mut findings = Vec::new();
    for document in &codegen::DOCUMENTS {
        if !binary.is_file() {
            let text = "cannot be compared with what the command says, as the command is not built: run `cargo build \
                        --workspace`, or `cargo xtask test`, which builds it first";
            findings.push(Finding::in_file(document.path, text));
            continue;
        }
        let fresh = document.text(&binary)?;
        findings.extend(current(document.path, repository.tree.text(document.path), &fresh));
    }
    Ok(findings)
}

fn architecture(tree: &Tree) -> Vec<Finding> {
    let complaint = match tree.text(ARCHITECTURE).map(|it| it.lines().count()) {
        None => "is missing: the map of the crates and the invariants, read before anything else".to_owned(),
        Some(lines) if lines > MOST_LINES => {
            format!(
                "{lines} lines, more than {MOST_LINES}: what is about one crate belongs in that crate's lib.rs"
            )
        }
        Some(_) => return Vec::new(),
    };
    vec![Finding::in_file(ARCHITECTURE, complaint)]
}

fn current(path: &str, text: Option<&str>, fresh: &str) -> Vec<Finding> {
    let text = text.unwrap_or_default();
    if text == fresh {
        return Vec::new();
    }
    let same = text.lines().zip(fresh.lines()).take_while(|(old, new)| old == new).count();
    let new = fresh.lines().nth(same).unwrap_or("");
    let complaint = format!("is not what the command says now (`{}`): run `cargo xtask codegen`", new.trim());
    vec![Finding::at(path, same + 1, complaint)]
}

fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        let mut in_block = false;
        for (at, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            }
            if in_block {
                continue;
            }
            for target in targets(line) {
                if !leads_somewhere(tree, path, &target) {
                    findings.push(Finding::at(path, at + 1, format!("the link to `{target}` leads nowhere")));
                }
            }
        }
    }
    findings
}

/// Where the links of a line lead: `[text](target "title")` and `[name]: target`, outside `code`.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let inline = prose.split("](").skip(1).filter_map(|it| it.split_once(')').map(|(target, _)| target));
    let named = Some(prose.as_str())
        .filter(|it| it.starts_with('[') && !it.starts_with("[^"))
        .and_then(|it| it.split_once("]: "))
        .map(|(_, target)| target);
    let first_word = |it: &str| it.split_whitespace().next().unwrap_or_default().to_owned();
    inline.chain(named).map(first_word).collect()
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let elsewhere = target.contains("://") || target.starts_with("mailto:");
    if elsewhere || target.starts_with('#') {
        return true;
    }
    let file = target.trim_matches(['<', '>']).split('#').next().unwrap_or_default();
    if file.is_empty() || file.starts_with('/') {
        return false;
    }
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                if path.pop().is_none() {
                    return false;
                }
            }
            part => path.push(part),
        }
    }
    path.is_empty() || tree.has(&path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::{assert_holds_here, lines_of};
    use super::*;

    #[test]
    fn the_map_is_there_and_short() {
        let found = |text: &str| lines_of(architecture(&Tree::of(&[(ARCHITECTURE, text)])));
        assert!(lines_of(architecture(&Tree::of(&[])))[0].contains("ARCHITECTURE.md: is missing"));
        assert!(found(&"a\n".repeat(150)).is_empty());
        assert!(found(&"a\n".repeat(151))[0].contains("151 lines, more than 150"));
    }

    #[track_caller]
    fn check_line(line: &str, expected: Option<&str>) {
        let tree = Tree::of(&[("docs/a.md", line), ("docs/b.md", ""), ("README.md", "")]);
        let found = lines_of(links(&tree));
        let expected: Vec<String> =
            expected.iter().map(|it| format!("docs/a.md:1: the link to `{it}` leads nowhere")).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn every_link_leads_somewhere() {
        for good in [
            "see [b](b.md), [again](./b.md#part) and [up](../README.md \"title\")",
            "[here](#part) [out](https://example.com/a.md) [mail](mailto:a@example.com)",
            "[b]: b.md",
            "[folder](../docs/)",
            "`[code](nowhere.md)` and a[0](x",
        ] {
            check_line(good, None);
        }
        check_line("see [c](c.md)", Some("c.md"));
        check_line("[c]: c.md", Some("c.md"));
        check_line("![picture](../picture.png)", Some("../picture.png"));
        check_line("[out](../../README.md)", Some("../../README.md"));
        check_line("[b](b.md) and [b](/b.md)", Some("/b.md"));
        check_line("[nothing]()", Some(""));
        check_line("a `b` [c](c.md) `d`", Some("c.md"));
    }

    #[test]
    fn a_block_of_code_has_no_links() {
        let tree = Tree::of(&[("a.md", "```text\n[a](b.md)\n```\n[a](c.md)\n")]);
        assert_eq!(lines_of(links(&tree)), ["a.md:4: the link to `c.md` leads nowhere"]);
    }

    #[test]
    fn a_generated_document_is_what_would_be_generated() {
        let found = |text| lines_of(current("a.md", text, "one\ntwo\n"));
        assert!(found(Some("one\ntwo\n")).is_empty());
        assert!(found(Some("one\n2\n"))[0].starts_with("a.md:2: is not what the command says now (`two`)"));
        assert!(found(Some("one\n"))[0].starts_with("a.md:2: "));
        assert!(found(None)[0].starts_with("a.md:1: "));
    }

    #[test]
    fn the_map_holds_here() {
        assert_holds_here(check_architecture);
    }

    #[test]
    fn links_hold_here() {
        assert_holds_here(check_links);
    }

    #[test]
    fn generated_documents_hold_here() {
        assert_holds_here(check_generated);
    }
}
