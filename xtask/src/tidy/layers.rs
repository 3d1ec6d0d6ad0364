//! Who may depend on whom.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::{Finding, Repository};
use crate::suite::cargo;

/// The layer diagram. A new pair here is a change of architecture: argue for it.
const ALLOWED: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("protocol", &[]),
    ("profile", &["base"]),
    ("store", &["base"]),
    ("providers", &["base"]),
    ("browser", &["base"]),
    ("channels", &["base"]),
    ("agent", &["base", "providers", "browser"]),
    ("fleet", &["base", "profile", "protocol", "store"]),
    ("gateway", &["agent", "base", "channels", "fleet", "profile", "protocol", "providers", "store"]),
    ("cli", &["base", "fleet", "gateway", "profile", "protocol"]),
    // Tools, not product.
    ("testkit", &["base"]),
    ("xtask", &["protocol"]),
    // The walk by which the original is recorded is the one by which ours is tested.
    ("benches", &["profile", "testkit"]),
];

/// Crates of the diagram that are still to come.
const PLANNED: &[&str] = &["browser", "channels"];

/// What any crate may use for its tests.
const FOR_TESTS: &str = "testkit";

/// The names of our packages begin so; the diagram leaves it out.
const PREFIX: &str = "openclaw-";

/// Compares the manifests of the workspace with the diagram.
///
/// # Errors
/// When cargo cannot describe the workspace.
pub(super) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let mut command: Command = cargo(&repository.root);
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let output = command.output().context("cannot run cargo metadata")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "cargo metadata failed: {}", complaint.trim());
    let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    judge(&metadata, ALLOWED, PLANNED)
}

fn judge(metadata: &Value, allowed: &[(&str, &[&str])], planned: &[&str]) -> anyhow::Result<Vec<Finding>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let names: BTreeSet<&str> = packages.iter().map(name_of).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = name_of(package);
        let Some((_, may_use)) = allowed.iter().find(|(it, _)| *it == name) else {
            findings.push(Finding::anywhere(format!(
                "crate `{name}` is not in the layer table; a new crate needs a sentence of the form \
                 `X must never see Y`: argue for it in ARCHITECTURE.md, and add it to xtask/src/tidy/layers.rs"
            )));
            continue;
        };
        for used in package["dependencies"].as_array().into_iter().flatten() {
            // Ours have a path; one that is somebody else's has a registry.
            if used["path"].is_null() {
                continue;
            }
            let (used, kind) = (name_of(used), used["kind"].as_str());
            let for_tests = used == FOR_TESTS && kind == Some("dev");
            if !for_tests && !may_use.contains(&used) {
                findings.push(Finding::anywhere(format!(
                    "crate `{name}` may not depend on `{used}`: the pair is not in the layer table. Take the edge \
                     out, or argue for it: why is `{name}` the right place to know `{used}`?"
                )));
            }
        }
    }
    for (name, _) in allowed {
        match (names.contains(name), planned.contains(name)) {
            (false, false) => findings.push(Finding::anywhere(format!(
                "crate `{name}` is in the layer table and not in the workspace: take it out of the table"
            ))),
            (true, true) => findings.push(Finding::anywhere(format!(
                "crate `{name}` exists: take it out of the list of planned crates"
            ))),
            _ => {}
        }
    }
    Ok(findings)
}

fn name_of(package: &Value) -> &str {
    let name = package["name"].as_str().unwrap_or_default();
    name.strip_prefix(PREFIX).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{assert_holds_here, lines_of};
    use super::*;

    const TABLE: &[(&str, &[&str])] = &[("base", &[]), ("store", &["base"]), ("testkit", &["base"])];

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Value {
        let uses: Vec<_> = uses
            .iter()
            .map(|(used, kind)| json!({"name": format!("openclaw-{used}"), "kind": kind, "path": "x"}))
            .collect();
        json!({"name": format!("openclaw-{name}"), "dependencies": uses})
    }

    #[track_caller]
    fn check_table(packages: &[Value], planned: &[&str], expected: &[&str]) {
        let found = judge(&json!({"packages": packages}), TABLE, planned).expect("packages are listed");
        let found = lines_of(found);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn refuses_an_edge_that_is_not_in_the_table() {
        let base = package("base", &[("store", None)]);
        let store = package("store", &[("base", None)]);
        let testkit = package("testkit", &[]);
        check_table(&[base, store, testkit], &[], &["`base` may not depend on `store`"]);
    }

    #[test]
    fn lets_tests_use_the_testkit_and_nothing_else() {
        let base = package("base", &[("testkit", Some("dev"))]);
        let store = package("store", &[("testkit", None)]);
        let testkit = package("testkit", &[("store", Some("dev"))]);
        let expected = ["`store` may not depend on `testkit`", "`testkit` may not depend on `store`"];
        check_table(&[base, store, testkit], &[], &expected);
    }

    #[test]
    fn knows_every_crate_and_no_other() {
        let stranger = json!({"name": "openclaw-extra", "dependencies": []});
        let foreign = json!({"name": "serde", "kind": null, "path": null});
        let base = json!({"name": "openclaw-base", "dependencies": [foreign]});
        let packages = [stranger, base, package("store", &[])];
        check_table(
            &packages,
            &[],
            &["`extra` is not in the layer table", "`testkit` is in the layer table"],
        );
        check_table(&packages, &["testkit"], &["`extra` is not in the layer table"]);
        let full = [package("base", &[]), package("store", &[]), package("testkit", &[])];
        check_table(&full, &["store"], &["`store` exists: take it out"]);
    }

    #[test]
    fn holds_here() {
        assert_holds_here(check);
    }
}
