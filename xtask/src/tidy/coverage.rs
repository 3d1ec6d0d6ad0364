//! Which methods of the original gateway are answered: coverage.txt says it, and the method types prove it.

use std::collections::BTreeMap;

use super::{Finding, Repository};
use crate::rust_text::line_of;
use crate::tree::Tree;

const LIST: &str = "crates/protocol/coverage.txt";
const TYPES: &str = "crates/protocol/src/";

/// How a method type names itself.
const DECLARATION: &str = "const NAME: &'static str = \"";

/// Methods that are answered, at least. A ratchet: it only rises.
const AT_LEAST: usize = 121;

/// Methods that are answered or refused by name, at least. A ratchet: it only rises.
const DECIDED: usize = 367;

/// Methods that the original has: the list is complete.
const ALL: usize = 491;

/// How far above the floor the number may rise before the floor follows.
const SLACK: usize = 15;

const YES: &str = "yes";
const REFUSED: &str = "refused";
const STATES: &[&str] = &[YES, REFUSED, "not-yet"];

pub(super) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let mut findings = judge(&repository.tree, AT_LEAST);
    findings.extend(repository.tree.text(LIST).map(|it| complete(it, ALL, DECIDED)).unwrap_or_default());
    Ok(findings)
}

/// Whether every method is listed, and none that was decided about is undecided again.
fn complete(text: &str, all: usize, decided: usize) -> Vec<Finding> {
    let listed = read_list(text, &mut Vec::new());
    let count = listed.values().filter(|(_, state)| matches!(*state, YES | REFUSED)).count();
    let mut findings = Vec::new();
    if listed.len() < all {
        let text = format!("{} methods are listed, and there are {all}", listed.len());
        findings.push(Finding::in_file(LIST, text));
    }
    if count < decided {
        let text = format!("{count} methods are answered or refused, fewer than {decided}: one was lost");
        findings.push(Finding::in_file(LIST, text));
    }
    findings
}

fn judge(tree: &Tree, at_least: usize) -> Vec<Finding> {
    let Some(text) = tree.text(LIST) else {
        return vec![Finding::in_file(LIST, "is missing: one line a method, `<name> <status>`")];
    };
    let mut findings = Vec::new();
    let listed = read_list(text, &mut findings);
    let declared = declared(tree);
    for (name, (path, line)) in &declared {
        match listed.get(name.as_str()) {
            Some((_, YES)) => {}
            Some((_, state)) => findings.push(Finding::at(
                path,
                *line,
                format!("method `{name}` has a type and is `{state}` in {LIST}: it must be `{YES}`"),
            )),
            None => {
                findings.push(Finding::at(path, *line, format!("method `{name}` is not in {LIST}: add it")))
            }
        }
    }
    let answered: Vec<_> = listed.iter().filter(|(_, (_, state))| *state == YES).collect();
    for (name, (line, _)) in &answered {
        if !declared.contains_key(**name) {
            findings.push(Finding::at(
                LIST,
                *line,
                format!("method `{name}` is `{YES}` and has no type in {TYPES}"),
            ));
        }
    }
    let count = answered.len();
    if count < at_least {
        let text = format!("{count} methods are answered, fewer than {at_least}: one was lost");
        findings.push(Finding::in_file(LIST, text));
    } else if count > at_least + SLACK {
        let text = format!(
            "{count} methods are answered: raise AT_LEAST in xtask/src/tidy/coverage.rs from {at_least}"
        );
        findings.push(Finding::in_file(LIST, text));
    }
    findings
}

/// Line and status of each method of the list.
fn read_list<'a>(text: &'a str, findings: &mut Vec<Finding>) -> BTreeMap<&'a str, (usize, &'a str)> {
    let mut listed = BTreeMap::new();
    let mut last = "";
    for (at, row) in text.lines().enumerate().filter(|(_, row)| !row.starts_with('#')) {
        let line = at + 1;
        let read = row.split_once(' ').map(|(name, state)| match state.split_once(": ") {
            Some((REFUSED, why)) if !why.trim().is_empty() => (name, REFUSED),
            // Who is refused is told why.
            _ if state == REFUSED => (name, ""),
            _ => (name, state),
        });
        let Some((name, state)) = read.filter(|(_, state)| STATES.contains(state)) else {
            let text = format!(
                "cannot read `{row}`: expected `<name> <status>`, with {}; `refused: ` has a reason",
                STATES.join(", ")
            );
            findings.push(Finding::at(LIST, line, text));
            continue;
        };
        if name <= last {
            findings.push(Finding::at(
                LIST,
                line,
                format!("`{name}` stands after `{last}`: sorted, each name once"),
            ));
        }
        last = name;
        listed.insert(name, (line, state));
    }
    listed
}

/// Path and line of each method type.
fn declared(tree: &Tree) -> BTreeMap<String, (String, usize)> {
    let mut declared = BTreeMap::new();
    for source in tree.sources().iter().filter(|it| it.path.starts_with(TYPES)) {
        let code = &source.no_comments[..source.tests_from];
        for (at, _) in code.match_indices(DECLARATION) {
            let name = code[at + DECLARATION.len()..].split('"').next().unwrap_or_default();
            declared.insert(name.to_owned(), (source.path.to_owned(), line_of(code, at)));
        }
    }
    declared
}

#[cfg(test)]
mod tests {
    use super::super::{assert_holds_here, lines_of};
    use super::*;

    #[track_caller]
    fn check_list(list: &str, names: &[&str], at_least: usize, expected: &[&str]) {
        let mut types = "/// const NAME: &'static str = \"prose\";\n".to_owned();
        for name in names {
            types += &format!("    {DECLARATION}{name}\";\n");
        }
        types += "#[cfg(test)]\nmod tests {\n    const NAME: &'static str = \"made-up\";\n}\n";
        let tree = Tree::of(&[(LIST, list), ("crates/protocol/src/chat.rs", &types)]);
        let found = lines_of(judge(&tree, at_least));
        assert_eq!(found.len(), expected.len(), "{list}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn the_list_and_the_types_agree() {
        check_list("# a\nchat.send yes\nhealth not-yet\n", &["chat.send"], 1, &[]);
        check_list("chat.send not-yet\n", &["chat.send"], 0, &["it must be `yes`"]);
        check_list("chat.send refused: no\n", &["chat.send"], 0, &["is `refused`"]);
        check_list(
            "chat.send yes\n",
            &[],
            0,
            &["coverage.txt:1: method `chat.send` is `yes` and has no type"],
        );
        check_list("health not-yet\n", &["chat.send"], 0, &["chat.rs:2: method `chat.send` is not in"]);
    }

    #[test]
    fn the_list_is_sorted_and_readable() {
        check_list("b not-yet\na not-yet\n", &[], 0, &["`a` stands after `b`"]);
        check_list("a not-yet\na refused: no\n", &[], 0, &["`a` stands after `a`"]);
        check_list("a no\nb\n", &[], 0, &["cannot read `a no`", "cannot read `b`"]);
        check_list(
            "a refused\nb refused: \n",
            &[],
            0,
            &["cannot read `a refused`", "cannot read `b refused: `"],
        );
        assert_eq!(judge(&Tree::of(&[]), 0).len(), 1, "a missing list");
    }

    #[test]
    fn the_number_only_rises_and_the_floor_follows() {
        check_list("chat.send yes\n", &["chat.send"], 2, &["fewer than 2: one was lost"]);
        let names: Vec<String> = (10..26).map(|it| format!("a{it}")).collect();
        let list: String = names.iter().map(|it| format!("{it} yes\n")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        check_list(&list, &names, 1, &[]);
        check_list(&list, &names, 0, &["raise AT_LEAST"]);
    }

    #[test]
    fn the_list_is_complete_and_what_was_decided_stays_so() {
        let found = |text: &str, all, decided| lines_of(complete(text, all, decided));
        let text = "a yes\nb refused: never\nc not-yet\n";
        assert!(found(text, 3, 2).is_empty());
        assert!(found(text, 4, 2)[0].contains("3 methods are listed, and there are 4"));
        assert!(found(text, 3, 3)[0].contains("fewer than 3"));
    }

    #[test]
    fn holds_here() {
        assert_holds_here(check);
    }
}
