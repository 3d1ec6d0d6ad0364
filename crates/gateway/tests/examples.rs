//! The example configs: set-ups as people have them, each of which must load. `configs/README.md` says what they show
//! and which of them only the oldest version of the original took.

use std::fs;
use std::path::{Path, PathBuf};

use openclaw_gateway::config;
use profile::document::Weight;
use profile::sources::Reach;
use profile::{Ambient, Document, Finding};

#[test]
fn every_example_loads_and_no_key_of_it_is_unknown() {
    let said: Vec<String> = examples().iter().flat_map(|it| wrong(it)).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn every_example_says_what_it_shows_and_the_readme_lists_it() {
    let readme = fs::read_to_string(folder().join("README.md")).expect("a README");
    let examples = examples();
    assert!(examples.len() >= 40, "{} examples", examples.len());
    for path in &examples {
        let text = fs::read_to_string(path).expect("text");
        let name = name(path);
        assert!(text.starts_with("//") || text.starts_with("/*"), "{name} does not open with a comment");
        let lines = readme.lines().filter(|it| it.contains(&format!("`{name}`"))).count();
        assert_eq!(lines, 1, "{name} is in {lines} lines of the README");
    }
    let listed = readme.lines().filter(|it| it.starts_with("| `")).count();
    assert_eq!(listed, examples.len(), "the README lists files that are gone");
}

/// What keeps a gateway from obeying one example, and keys that nobody knows, in surroundings that have every variable
/// that it names. What has no effect, or refers to a secret that is not here, is no fault of it.
fn wrong(path: &Path) -> Vec<String> {
    let name = name(path);
    let document = match Document::load(path) {
        Ok(it) => it,
        Err(error) => return vec![format!("{name}: {error}")],
    };
    let variables = variables();
    let variables: Vec<_> = variables.iter().map(|it| (it.as_str(), "a-value-for-tests")).collect();
    let read = config::read(document, &Reach::default(), &Ambient::of(&variables, &folder()));
    let is_wrong = |it: &&Finding| it.weight == Weight::Error || it.message.starts_with("is no key");
    read.findings.iter().filter(is_wrong).map(|it| format!("{name}: {}", it.told(path))).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs")
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

fn examples() -> Vec<PathBuf> {
    files_of(&folder())
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|it| it.extension().is_some_and(|it| it == "json5")).collect();
    files.sort();
    files
}

/// The names in `${NAME}` of all examples and of what they include, but for what is escaped.
fn variables() -> Vec<String> {
    let folders = ["", "parts", "parts/nested"];
    let files = folders.iter().flat_map(|it| files_of(&folder().join(it)));
    let texts = files.map(|it| fs::read_to_string(it).expect("text").replace("$${", ""));
    let names = |text: String| -> Vec<String> {
        text.split("${").skip(1).filter_map(|it| Some(it.split_once('}')?.0.to_owned())).collect()
    };
    // Named in references.
    texts.flat_map(names).chain(["DESK_TOKEN".to_owned(), "DESK_KEY".to_owned()]).collect()
}
